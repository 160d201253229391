/**
 * Who was refused by a limit, so that a pattern is seen: counted per user, told in the log once a minute for each, and as
 * a number of users for an alert. Bound: VIOLATORS_MAX_COUNT users; the one longest quiet is forgotten.
 */

import type { UserId } from '@chat/contracts/ids';
import type { Logger } from '../log.ts';

/** A user counts as a violator this long after the last refusal. */
const REMEMBERED_MS = 5 * 60_000;
const LOG_EVERY_MS = 60_000;
const VIOLATORS_MAX_COUNT = 10_000;

type Violator = { lastAtMs: number; refusalCount: number; loggedAtMs: number };

export type Violators = {
  refused(userId: UserId, limit: string, nowMs: number): void;
  /** Users refused within the last 5 minutes. */
  count(nowMs: number): number;
};

export const createViolators = (log: Logger): Violators => {
  /** Ordered by the last refusal: re-inserted at each. */
  const byUser = new Map<UserId, Violator>();

  const forget = (nowMs: number): void => {
    for (const [userId, violator] of byUser) {
      if (byUser.size <= VIOLATORS_MAX_COUNT && nowMs - violator.lastAtMs < REMEMBERED_MS) return;
      byUser.delete(userId);
    }
  };

  return {
    refused: (userId, limit, nowMs) => {
      const violator = byUser.get(userId) ?? { lastAtMs: 0, refusalCount: 0, loggedAtMs: -Infinity };
      byUser.delete(userId);
      byUser.set(userId, violator);
      violator.lastAtMs = nowMs;
      violator.refusalCount += 1;
      if (Math.abs(nowMs - violator.loggedAtMs) >= LOG_EVERY_MS) {
        violator.loggedAtMs = nowMs;
        log.warn({ userId, limit, refusalCount: violator.refusalCount }, 'a user is over a limit');
      }
      if (byUser.size > VIOLATORS_MAX_COUNT) forget(nowMs);
    },
    count: (nowMs) => {
      forget(nowMs);
      return byUser.size;
    },
  };
};
