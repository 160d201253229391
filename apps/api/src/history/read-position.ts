/**
 * Read your writes: a read with `minSeq` waits, bounded, until the read model has it. All waiters of a partition share
 * one poll of its checkpoint, so that a crowd of them costs the store no more than one.
 *
 * The checkpoint is read before the question. So that the promise holds also when another state answers it (the read
 * model was switched to another version meanwhile), each answer is held to it again by its own `asOf`.
 */

import type { ReadStamp } from '@chat/contracts/http';
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
  /**
   * The answer of `ask` as of a state that holds the point. An answer without a stamp (a refusal of the read model)
   * counts when it is given twice: the first may have come from a state before the point.
   */
  readAt<T extends object>(
    partition: number,
    point: Point,
    ask: () => Promise<T>,
  ): Promise<{ readonly answer: T } | { readonly refusal: Refusal }>;
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
  /** With the last sequence that is known to be applied. */
  readonly settle: (seq: number) => void;
};

const behind = (minSeq: number, seq: number): Refusal => ({
  code: 'READ_MODEL_BEHIND',
  retryAfterMs: RETRY_AFTER_MS,
  ...(minSeq > seq ? { lagCount: minSeq - seq } : {}),
});

export const createReadPosition = ({ readModel, epochs, maxWaitMs, log }: ReadPositionDeps): ReadPosition => {
  const waiting = new Map<number, Set<Waiter>>();
  let waiterCount = 0;

  const poll = async (partition: number, waiters: Set<Waiter>, firstSeq: number): Promise<void> => {
    let seq = firstSeq;
    while (waiters.size > 0) {
      await pause(POLL_MS);
      try {
        seq = (await readModel.checkpoint(partition))?.seq ?? 0;
      } catch (error) {
        log.debug({ partition, reason: reasonOf(error) }, 'the checkpoint cannot be read');
      }
      const nowMs = performance.now();
      for (const waiter of waiters) {
        if (waiter.minSeq > seq && waiter.deadlineMs > nowMs) continue;
        waiters.delete(waiter);
        waiter.settle(seq);
      }
    }
    waiting.delete(partition);
  };

  const wait = async (partition: number, nowSeq: number, minSeq: number, deadlineMs: number) => {
    waiterCount += 1;
    try {
      return await new Promise<number>((settle) => {
        const waiter = { minSeq, deadlineMs, settle };
        const waiters = waiting.get(partition);
        if (waiters) {
          waiters.add(waiter);
          return;
        }
        const made = new Set([waiter]);
        waiting.set(partition, made);
        void poll(partition, made, nowSeq);
      });
    } finally {
      waiterCount -= 1;
    }
  };

  /** The read model holds another epoch than the asker. Who of the two is late? The stream knows. */
  const judgeEpoch = async (partition: number, epoch: string): Promise<Refusal> => {
    const now = await epochs.of(partition).catch(() => undefined);
    // How much is missing cannot be told: what was applied is numbered by another history.
    return now === epoch ? behind(0, 0) : { code: 'EPOCH_CHANGED' };
  };

  const reachBy = async (
    partition: number,
    { minSeq = 0, epoch }: Point,
    deadlineMs: number,
  ): Promise<Refusal | undefined> => {
    if (minSeq === 0 && epoch === undefined) return undefined;
    const checkpoint = await readModel.checkpoint(partition);
    if (epoch !== undefined && checkpoint && checkpoint.epoch !== epoch) return judgeEpoch(partition, epoch);
    const nowSeq = checkpoint?.seq ?? 0;
    if (nowSeq >= minSeq) return undefined;
    if (waiterCount >= WAITERS_MAX_COUNT) return { code: 'OVERLOADED', retryAfterMs: RETRY_AFTER_MS };
    const seq = await wait(partition, nowSeq, minSeq, deadlineMs);
    return seq >= minSeq ? undefined : behind(minSeq, seq);
  };

  return {
    reach: (partition, point) => reachBy(partition, point, performance.now() + maxWaitMs),
    readAt: async (partition, point, ask) => {
      const { minSeq = 0, epoch } = point;
      const isAnyGood = minSeq === 0 && epoch === undefined;
      const deadlineMs = performance.now() + maxWaitMs;
      for (let attempt = 0; ; attempt += 1) {
        const refusal = await reachBy(partition, point, deadlineMs);
        if (refusal) return { refusal };
        const answer = await ask();
        const { asOf, epoch: answerEpoch } = answer as Partial<ReadStamp>;
        if (isAnyGood || (asOf === undefined && attempt > 0)) return { answer };
        if (asOf === undefined) continue;
        if (asOf >= minSeq && (epoch === undefined || answerEpoch === epoch)) return { answer };
        if (performance.now() >= deadlineMs) return { refusal: behind(minSeq, asOf) };
        await pause(POLL_MS);
      }
    },
  };
};
