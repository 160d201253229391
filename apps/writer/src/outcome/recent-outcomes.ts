/**
 * The outcomes of the newest commands, so that most repeats and outcome requests need no query. Two
 * generations: when the young one is full it becomes the old one, and the old one is forgotten. Bounds:
 * RECENT_MAX_COUNT entries and RECENT_MAX_BYTES of encoded events in each. Whoever misses asks the database.
 */

import type { Outcome } from '../batch/batch-plan.ts';

export const RECENT_MAX_COUNT = 16_384;
export const RECENT_MAX_BYTES = 16 * 1024 * 1024;

export type RecentOutcomes = {
  /** By `outcomeKey`. */
  readonly get: (key: string) => Outcome | undefined;
  readonly put: (outcome: Outcome) => void;
  /** After any doubt about what is committed. */
  readonly clear: () => void;
};

export const createRecentOutcomes = (
  maxCount = RECENT_MAX_COUNT,
  maxBytes = RECENT_MAX_BYTES,
): RecentOutcomes => {
  let young = new Map<string, Outcome>();
  let old = new Map<string, Outcome>();
  let youngBytes = 0;
  return {
    get: (key) => young.get(key) ?? old.get(key),
    put: (outcome) => {
      if (young.size >= maxCount || youngBytes >= maxBytes) {
        old = young;
        young = new Map();
        youngBytes = 0;
      }
      young.set(outcome.key, outcome);
      youngBytes += outcome.payload?.length ?? 0;
    },
    clear: () => {
      young = new Map();
      old = new Map();
      youngBytes = 0;
    },
  };
};
