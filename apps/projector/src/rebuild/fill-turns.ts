/**
 * Whose turn it is to fill a version that is being built. Live versions go first: at most FILL_ACTIVE_MAX_COUNT pages are
 * applied at once, and none while a live version is behind, but for one after every YIELD_MAX_MS, so that a rebuild gets
 * on under any load.
 */

import { pause } from '@chat/platform/resilience/backoff';

const FILL_ACTIVE_MAX_COUNT = 2;
const YIELD_POLL_MS = 20;
const YIELD_MAX_MS = 500;

export type FillTurns = {
  /** Resolves when a page may be applied; to be given back by calling what it answers. */
  take(signal: AbortSignal): Promise<() => void>;
};

export const createFillTurns = (isLiveBehind: () => boolean): FillTurns => {
  let activeCount = 0;
  return {
    take: async (signal) => {
      const untilMs = performance.now() + YIELD_MAX_MS;
      const isYielding = (): boolean => isLiveBehind() && performance.now() < untilMs;
      while (!signal.aborted && (activeCount >= FILL_ACTIVE_MAX_COUNT || isYielding()))
        await pause(activeCount >= FILL_ACTIVE_MAX_COUNT ? 1 : YIELD_POLL_MS, signal);
      activeCount += 1;
      return () => (activeCount -= 1);
    },
  };
};
