/**
 * What is remembered per user, bounded: of more than USERS_MAX_COUNT users one of those longest unseen is forgotten (and
 * starts anew). A Map keeps insertion order, so the first is the one longest not re-inserted. Re-inserting at each use
 * would be dear on a hot path: an entry is moved only when it was not used for a minute, so that eviction may take a fairly old one.
 */

import type { UserId } from '@chat/contracts/ids';

export const USERS_MAX_COUNT = 100_000;
const MOVED_AFTER_MS = 60_000;

export type UserTable<E> = {
  /** The user's entry, made if there is none. */
  of(userId: UserId, nowMs: number): E;
  get(userId: UserId): E | undefined;
};

export const createUserTable = <E>(
  make: (nowMs: number) => E,
  lastUsedMs: (entry: E) => number,
): UserTable<E> => {
  const entries = new Map<UserId, E>();
  return {
    get: (userId) => entries.get(userId),
    of: (userId, nowMs) => {
      let entry = entries.get(userId);
      if (entry === undefined) {
        if (entries.size >= USERS_MAX_COUNT) {
          const oldest = entries.keys().next().value;
          if (oldest !== undefined) entries.delete(oldest);
        }
        entry = make(nowMs);
        entries.set(userId, entry);
      } else if (nowMs - lastUsedMs(entry) > MOVED_AFTER_MS) {
        entries.delete(userId);
        entries.set(userId, entry);
      }
      return entry;
    },
  };
};
