/**
 * Read your writes: a read with `minSeq` waits, bounded, until the read model has it. All waiters of a partition share
 * one poll of its checkpoint, so that a crowd of them costs the store no more than one.
 */

import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { pause } from '@chat/platform/resilience/backoff';
import type { ReadModel } from '@chat/read-model/port';
import type { Epochs } from '../commands/epochs.ts';
import type { Refusal } from '../http/refusals.ts';

export type Point = { readonly minSeq?: number | undefined; readonly epoch?: string | undefined };

export type ReadPosition = {
  /** Undefined when the read may go on. Throws when the store does not answer. */
  reach(partition: number, point: Point): Promise<Refusal | undefined>;
};

export type ReadPositionDeps = {
  readonly readModel: Pick<ReadModel, 'checkpoint'>;
  readonly epochs: Epochs;
  readonly maxWaitMs: number;
  readonly log: Logger;
};

const POLL_MS = 10;
const WAITERS_MAX_COUNT = 10_000;
const RETRY_AFTER_MS = 1_000;

type Waiter = {
  readonly minSeq: number;
  readonly deadlineMs: number;
  readonly settle: (reached: boolean) => void;
};

export const createReadPosition = ({ readModel, epochs, maxWaitMs, log }: ReadPositionDeps): ReadPosition => {
  const waiting = new Map<number, Set<Waiter>>();
  let waiterCount = 0;

  const poll = async (partition: number, waiters: Set<Waiter>): Promise<void> => {
    while (waiters.size > 0) {
      await pause(POLL_MS);
      const seq = await readModel.checkpoint(partition).then(
        (checkpoint) => checkpoint?.seq ?? 0,
        (error: unknown) => {
          log.debug({ partition, reason: reasonOf(error) }, 'the checkpoint cannot be read');
          return 0;
        },
      );
      const nowMs = performance.now();
      for (const waiter of waiters) {
        if (waiter.minSeq > seq && waiter.deadlineMs > nowMs) continue;
        waiters.delete(waiter);
        waiter.settle(waiter.minSeq <= seq);
      }
    }
    waiting.delete(partition);
  };

  const wait = async (partition: number, minSeq: number): Promise<boolean> => {
    waiterCount += 1;
    try {
      return await new Promise<boolean>((settle) => {
        const waiter = { minSeq, deadlineMs: performance.now() + maxWaitMs, settle };
        const waiters = waiting.get(partition);
        if (waiters) {
          waiters.add(waiter);
          return;
        }
        const made = new Set([waiter]);
        waiting.set(partition, made);
        void poll(partition, made);
      });
    } finally {
      waiterCount -= 1;
    }
  };

  const behind: Refusal = { code: 'READ_MODEL_BEHIND', retryAfterMs: RETRY_AFTER_MS };

  /** The read model holds another epoch than the asker. Who of the two is late? The stream knows. */
  const judgeEpoch = async (partition: number, epoch: string): Promise<Refusal> => {
    const now = await epochs.of(partition).catch(() => undefined);
    return now === epoch ? behind : { code: 'EPOCH_CHANGED' };
  };

  return {
    reach: async (partition, { minSeq = 0, epoch }) => {
      if (minSeq === 0 && epoch === undefined) return undefined;
      const checkpoint = await readModel.checkpoint(partition);
      if (epoch !== undefined && checkpoint && checkpoint.epoch !== epoch)
        return judgeEpoch(partition, epoch);
      if ((checkpoint?.seq ?? 0) >= minSeq) return undefined;
      if (waiterCount >= WAITERS_MAX_COUNT) return { code: 'OVERLOADED', retryAfterMs: RETRY_AFTER_MS };
      return (await wait(partition, minSeq)) ? undefined : behind;
    },
  };
};
