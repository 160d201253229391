import { afterEach, describe, expect, it } from 'vitest';
import { type Child, spawnChild } from '../servers/child-process.ts';
import { delay } from '../servers/ports.ts';
import {
  platformPolicy,
  restartDelayMs,
  supervise,
  type Supervisable,
  type Supervised,
  type SupervisorEvent,
} from './supervisor.ts';

/** A real process that only lives. */
const liveProcess = (
  source = 'setInterval(() => {}, 1000)',
  needsRestart?: () => Promise<boolean | undefined>,
): Supervisable => {
  let child: Child | undefined;
  const isRunning = (): boolean => child !== undefined && !child.exit();
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    await child?.end(signal, 1000);
  };
  const start = async (): Promise<void> => {
    if (!isRunning()) child = await spawnChild({ command: process.execPath, args: ['-e', source] });
  };
  return {
    get pid() {
      return child?.pid ?? 0;
    },
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => child?.signal('SIGSTOP'),
    resume: () => child?.signal('SIGCONT'),
    restart: async () => {
      await end('SIGTERM');
      await start();
    },
    exited: async () => void (await child?.exited),
    isRunning,
    ...(needsRestart ? { needsRestart } : {}),
    tail: () => child?.tail() ?? [],
    [Symbol.asyncDispose]: () => end('SIGKILL'),
  };
};

const policy = { ...platformPolicy, baseMs: 50 };
let unit: Supervised;
afterEach(() => unit.stop());

const until = async (isSo: () => boolean): Promise<void> => {
  const deadline = Date.now() + 10_000;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error('it did not come true within 10 s');
    await delay(10);
  }
};

describe('a supervised process', () => {
  it('is started again after kill -9, and each time is told', async () => {
    const events: SupervisorEvent[] = [];
    unit = supervise('p', liveProcess(), policy, (event) => events.push(event));
    await unit.start();
    const first = unit.pid;
    await unit.kill();
    await until(() => unit.isRunning() && unit.pid !== first);
    const second = unit.pid;
    await unit.kill();
    await until(() => unit.isRunning() && unit.pid !== second);
    await until(() => events.length === 4);
    expect(events.map(({ kind }) => kind)).toEqual(['died', 'restarted', 'died', 'restarted']);
    expect(events.flatMap((event) => (event.kind === 'died' ? [event.restartInMs] : []))).toEqual([50, 100]);
  });

  it('stays stopped when it was stopped on purpose, also while it waits for its restart', async () => {
    unit = supervise('p', liveProcess(), policy);
    await unit.start();
    await unit.kill();
    await unit.stop();
    await delay(policy.baseMs * 4); // longer than the restart that must not come
    expect(unit.isRunning()).toBe(false);
    await unit.start();
    expect(unit.isRunning()).toBe(true);
  });

  it('that dies at once again and again is started ever more slowly', async () => {
    const delays: number[] = [];
    unit = supervise('p', liveProcess('process.exit(3)'), policy, (event) => {
      if (event.kind === 'died') delays.push(event.restartInMs);
    });
    await unit.start();
    await until(() => delays.length === 4);
    expect(delays).toEqual([50, 100, 200, 400]);
  });

  it('is not started again where the policy says so', async () => {
    unit = supervise('p', liveProcess(), { ...policy, isRestarting: false });
    await unit.start();
    await unit.kill();
    await delay(policy.baseMs * 4); // longer than the restart that must not come
    expect(unit.isRunning()).toBe(false);
  });

  it('that runs and says again and again that it needs a restart gets one; saying so once is not enough', async () => {
    const events: SupervisorEvent[] = [];
    const answers = [true, false, true, undefined, true, true];
    const target = liveProcess(undefined, async () => (answers.length > 0 ? answers.shift() : false));
    unit = supervise('p', target, { ...policy, probeEveryMs: 10 }, (event) => events.push(event));
    await unit.start();
    const first = unit.pid;
    await until(() => events.length === 3);
    expect(events.map(({ kind }) => kind)).toEqual(['unhealthy', 'died', 'restarted']);
    expect(answers).toEqual([]);
    expect(unit.pid).not.toBe(first);
  });

  it('waits no longer than the longest delay', () => {
    expect(restartDelayMs(platformPolicy, 1000)).toBe(platformPolicy.maxMs);
  });
});
