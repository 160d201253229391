/**
 * Keeps a server or app running as a platform would.
 *
 * States of `supervise`: wanted (running, or dead and waiting for its restart) ⇄ stopped on purpose. A process that
 * dies while it is wanted is started again after a delay that doubles with each quick death, for ever; one that
 * lived `steadyMs` begins at the first delay again. The overflow action of the backoff is its longest delay.
 *
 * One that can be asked for its liveness is asked while it runs, and stopped when it says UNHEALTHY_MAX_COUNT times in a
 * row that it needs a restart: then it is dead like any other. Silence is no answer: what is paused stays paused.
 */

import type { ServerHandle } from '../servers/server-handle.ts';

export type Supervisable = Omit<ServerHandle, 'port'>;

export type SupervisorEvent =
  | {
      readonly kind: 'died';
      readonly name: string;
      readonly restartInMs: number;
      readonly tail: readonly string[];
    }
  | { readonly kind: 'unhealthy'; readonly name: string }
  | { readonly kind: 'restarted'; readonly name: string; readonly pid: number }
  | {
      readonly kind: 'restart-failed';
      readonly name: string;
      readonly reason: string;
      readonly restartInMs: number;
    };

export type SupervisorPolicy = {
  readonly isRestarting: boolean;
  readonly baseMs: number;
  readonly maxMs: number;
  readonly steadyMs: number;
  readonly probeEveryMs: number;
};

const UNHEALTHY_MAX_COUNT = 3;

export const platformPolicy: SupervisorPolicy = {
  isRestarting: true,
  probeEveryMs: 1_000,
  baseMs: 500,
  maxMs: 30_000,
  steadyMs: 30_000,
};

export type Supervised = Supervisable & { readonly name: string };

/** Keeps no process alive: a probe ends with what it probes. */
const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

/** Delay before restart number `quickDeathCount` (0-based) in a row. */
export const restartDelayMs = (policy: SupervisorPolicy, quickDeathCount: number): number =>
  Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(quickDeathCount, 16));

export const supervise = (
  name: string,
  target: Supervisable,
  policy: SupervisorPolicy,
  onEvent: (event: SupervisorEvent) => void = () => {},
): Supervised => {
  let isWanted = false;
  let quickDeathCount = 0;
  let timer: NodeJS.Timeout | undefined;
  let starting: Promise<void> | undefined;

  /** Ends with the process that it watches. */
  const probe = async (hasEnded: () => boolean): Promise<void> => {
    for (let unhealthyCount = 0; !hasEnded();) {
      await rest(policy.probeEveryMs);
      if (hasEnded()) return;
      const isUnhealthy = await target.needsRestart?.();
      if (isUnhealthy !== undefined) unhealthyCount = isUnhealthy ? unhealthyCount + 1 : 0;
      if (unhealthyCount < UNHEALTHY_MAX_COUNT || hasEnded()) continue;
      onEvent({ kind: 'unhealthy', name });
      return target.stop();
    }
  };
  const watch = (): void => {
    const startedAtMs = Date.now();
    let hasEnded = false;
    void target.exited().then(() => (hasEnded = true));
    if (policy.isRestarting && target.needsRestart) void probe(() => hasEnded || !isWanted);
    void target.exited().then(() => {
      if (!isWanted || target.isRunning()) return;
      quickDeathCount = Date.now() - startedAtMs >= policy.steadyMs ? 0 : quickDeathCount;
      if (!policy.isRestarting) {
        isWanted = false;
        return;
      }
      const restartInMs = restartDelayMs(policy, quickDeathCount);
      onEvent({ kind: 'died', name, restartInMs, tail: target.tail() });
      schedule(restartInMs);
    });
  };
  const schedule = (delayMs: number): void => {
    quickDeathCount += 1;
    timer = setTimeout(() => void restartNow(), delayMs);
  };
  const launch = (): Promise<void> =>
    (starting ??= target.start().finally(() => {
      starting = undefined;
    }));
  const restartNow = async (): Promise<void> => {
    timer = undefined;
    try {
      await launch();
    } catch (error) {
      if (!isWanted) return;
      const restartInMs = restartDelayMs(policy, quickDeathCount);
      const reason = error instanceof Error ? error.message : String(error);
      onEvent({ kind: 'restart-failed', name, reason, restartInMs });
      schedule(restartInMs);
      return;
    }
    if (!isWanted) return;
    onEvent({ kind: 'restarted', name, pid: target.pid });
    watch();
  };
  const forget = (): void => {
    isWanted = false;
    clearTimeout(timer);
    timer = undefined;
  };
  const start = async (): Promise<void> => {
    if (isWanted && target.isRunning()) return;
    clearTimeout(timer);
    timer = undefined;
    isWanted = true;
    await launch();
    watch();
  };
  const stop = async (): Promise<void> => {
    forget();
    await starting?.catch(() => {}); // a restart under way would outlive the stop
    await target.stop();
  };
  return {
    name,
    get pid() {
      return target.pid;
    },
    start,
    stop,
    kill: () => target.kill(),
    pause: () => target.pause(),
    resume: () => target.resume(),
    restart: async () => {
      await stop();
      await start();
    },
    exited: () => target.exited(),
    isRunning: () => target.isRunning(),
    tail: () => target.tail(),
    [Symbol.asyncDispose]: stop,
  };
};
