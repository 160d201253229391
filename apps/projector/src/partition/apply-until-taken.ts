/** One batch into the store, again until the store took it. A LogFault is the batch's own fault and thrown at once. */

import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { retryUntil } from '@chat/platform/resilience/backoff';
import { type ApplyResult, type EventBatch, LogFault, type ProjectionTarget } from '@chat/read-model/port';

const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 2_000;
const LOG_EVERY_COUNT = 10;

export type ApplyDeps = {
  readonly target: ProjectionTarget;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Why the store did not take it for now; undefined: it did. */
  readonly onTrouble: (reason: string | undefined) => void;
};

export const applyUntilTaken = async (
  { target, signal, log, onTrouble }: ApplyDeps,
  batch: EventBatch,
): Promise<ApplyResult> => {
  const result = await retryUntil(signal, () => target.applyBatch(batch), {
    baseMs: RETRY_BASE_MS,
    maxMs: RETRY_MAX_MS,
    isRetryable: (error) => !(error instanceof LogFault),
    onRetry: (error, attempt) => {
      const reason = reasonOf(error);
      onTrouble(reason);
      if (attempt % LOG_EVERY_COUNT !== 0) return;
      const { partition } = batch;
      log.error({ partition, attempt, reason }, 'the read store did not take a batch, trying again');
    },
  });
  onTrouble(undefined);
  return result;
};
