import { RECONNECT_BASE_MS, RECONNECT_MAX_MS } from '@chat/contracts/limits';

/**
 * Full jitter: uniform in [0, min(max, base × 2^attempt)), so that thousands of clients that lost the same
 * gateway do not come back in step. `attempt` counts from 0; `random` answers in [0, 1).
 */
export const backoffMs = (attempt: number, random: () => number): number =>
  Math.floor(random() * Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** Math.min(attempt, 30)));
