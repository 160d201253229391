/**
 * What stands before a client of a database: a bulkhead (so many calls at once, so many wait, any other fails at once with
 * OverloadedFault), within it the breaker, and while that is open a probe, so that the time for which nobody asks ends with
 * the trouble and not 30 s later.
 *
 * Order: a call that waited for its place while the breaker opened fails at once when it gets it.
 */

import { BulkheadRejectedError, bulkhead } from 'cockatiel';
import { OverloadedFault } from '../faults.ts';
import { pause } from './backoff.ts';
import { type BreakerOptions, type BreakerState, createBreaker } from './breaker.ts';

export type GuardOptions = Omit<BreakerOptions, 'onOpen'> & {
  readonly activeMaxCount: number;
  readonly waitingMaxCount: number;
  /** A cheap question to the server that ends within seconds. */
  readonly probe: () => Promise<unknown>;
  readonly probeEveryMs?: number;
};

export type Guard = {
  run<T>(fn: () => Promise<T>): Promise<T>;
  state(): BreakerState;
  stop(): Promise<void>;
};

const PROBE_EVERY_MS = 1_000;

export const createGuard = (options: GuardOptions): Guard => {
  const { name, activeMaxCount, waitingMaxCount, probe, probeEveryMs = PROBE_EVERY_MS } = options;
  const abort = new AbortController();
  let probing: Promise<void> | undefined;
  const breaker = createBreaker({
    ...options,
    onOpen: () => {
      probing ??= untilClosed().finally(() => (probing = undefined));
    },
  });
  const places = bulkhead(activeMaxCount, waitingMaxCount);

  /** One free try at a time; once that was answered the probes are trials, and the fifth closes the breaker. */
  const untilClosed = async (): Promise<void> => {
    while (!abort.signal.aborted && breaker.state() !== 'closed') {
      const isAnswered = await probe().then(
        () => true,
        () => false,
      );
      if (isAnswered) {
        breaker.allowTrials();
        await breaker.run(probe).catch(() => undefined);
      }
      if (!isAnswered || breaker.state() === 'open') await pause(probeEveryMs, abort.signal);
      else await pause(probeEveryMs / 10, abort.signal);
    }
  };

  return {
    state: breaker.state,
    run: async (fn) => {
      try {
        return await places.execute(() => breaker.run(fn));
      } catch (error) {
        if (!(error instanceof BulkheadRejectedError)) throw error;
        throw new OverloadedFault(
          `${activeMaxCount} calls to ${name} are under way and ${waitingMaxCount} wait`,
        );
      }
    },
    stop: async () => {
      abort.abort();
      await probing;
    },
  };
};
