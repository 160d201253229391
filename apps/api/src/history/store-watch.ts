/** Asks the read store once a second whether it answers, for readiness; a probe itself never waits. */

import { evtStream } from '@chat/contracts/streams';
import { OverloadedFault, reasonOf } from '@chat/platform/faults';
import type { CheckResult } from '@chat/platform/health';
import { pause } from '@chat/platform/resilience/backoff';
import { withTimeout } from '@chat/platform/resilience/deadline';
import { type Service, onceAsync } from '@chat/platform/service';
import type { ReadModel } from '@chat/read-model/port';

const INTERVAL_MS = 1_000;
const ANSWER_MAX_MS = 2_000;

export type StoreWatch = Service & { check(): CheckResult };

export const createStoreWatch = (readModel: Pick<ReadModel, 'checkpoint'>): StoreWatch => {
  const abort = new AbortController();
  let result: CheckResult = { ok: false, reason: 'not asked yet' };
  let running: Promise<void> = Promise.resolve();

  const look = async (): Promise<void> => {
    try {
      await withTimeout(readModel.checkpoint(0), ANSWER_MAX_MS, `reading the checkpoint of ${evtStream(0)}`);
      result = { ok: true };
    } catch (error) {
      // It answers others: a store with much to do is there.
      if (error instanceof OverloadedFault) return;
      result = { ok: false, reason: reasonOf(error) };
    }
  };

  return {
    check: () => result,
    start: onceAsync(async () => {
      await look();
      running = (async () => {
        while (!abort.signal.aborted) {
          await pause(INTERVAL_MS, abort.signal);
          await look();
        }
      })();
    }),
    stop: onceAsync(async () => {
      abort.abort();
      await running;
    }),
  };
};
