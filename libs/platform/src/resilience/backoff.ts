import { setTimeout as delay } from 'node:timers/promises';
import { StoppedFault } from '../faults.ts';

export type BackoffInput = {
  /** 0 for the wait after the first failure. */
  readonly attempt: number;
  readonly baseMs: number;
  readonly maxMs: number;
  readonly random?: () => number;
};

/** Full jitter: anything between 0 and min(max, base × 2^attempt), so that many clients do not come back at once. */
export const backoffMs = ({ attempt, baseMs, maxMs, random = Math.random }: BackoffInput): number =>
  Math.round(random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30)));

export type RetryPolicy = {
  readonly baseMs: number;
  readonly maxMs: number;
  /** Attempts in all; without it as long as the signal allows. */
  readonly maxAttempts?: number;
  /** Errors for which it answers false are thrown at once. */
  readonly isRetryable?: (error: unknown) => boolean;
  readonly onRetry?: (error: unknown, attempt: number, waitMs: number) => void;
  readonly random?: () => number;
};

/**
 * Calls `fn` until it succeeds. Throws StoppedFault once the signal is aborted (also in the middle of a wait),
 * the last error when `maxAttempts` is used up, and what is not retryable at once.
 */
export const retryUntil = async <T>(
  signal: AbortSignal,
  fn: (attempt: number) => Promise<T>,
  policy: RetryPolicy,
): Promise<T> => {
  for (let attempt = 0; ; attempt++) {
    if (signal.aborted) throw new StoppedFault('a retried operation');
    try {
      return await fn(attempt);
    } catch (error) {
      if (policy.isRetryable?.(error) === false) throw error;
      if (policy.maxAttempts !== undefined && attempt + 1 >= policy.maxAttempts) throw error;
      const { baseMs, maxMs, random } = policy;
      const waitMs = backoffMs({ attempt, baseMs, maxMs, ...(random === undefined ? {} : { random }) });
      policy.onRetry?.(error, attempt, waitMs);
      await pause(waitMs, signal);
    }
  }
};

/** Waits; an aborted signal ends the wait early, without an error. */
export const pause = async (ms: number, signal?: AbortSignal): Promise<void> => {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
};
