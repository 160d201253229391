/**
 * Messages per user, across sockets and gateways without gossip: each gateway counts what its own sessions send and
 * what it sees in the feed but did not send itself. A burst and a sustained bucket; both must have a
 * token. What came by another way may drive a bucket below zero, down to minus its capacity. Bound: see user-table.ts.
 */

import type { UserId } from '@chat/contracts/ids';
import type { MessageLimitStatus } from '@chat/contracts/frames';
import { type Bucket, type BucketShape, fullBucket, refill, waitMs } from './token-bucket.ts';
import { createUserTable } from './user-table.ts';

export type MessageLimitConfig = {
  readonly burstCount: number;
  readonly burstMs: number;
  readonly sustainedPerMinuteCount: number;
};

export type MessageLimit = {
  /** Takes a token: 0, or how long to wait until there is one. */
  take(userId: UserId, nowMs: number): number;
  /** A message of this user that another gateway or the api took. */
  seen(userId: UserId, nowMs: number): void;
  /** Where the user stands; remembers nobody who has not sent. */
  status(userId: UserId, nowMs: number): MessageLimitStatus;
};

type Entry = { readonly burst: Bucket; readonly sustained: Bucket };

export const createMessageLimit = (config: MessageLimitConfig): MessageLimit => {
  const burst: BucketShape = {
    capacityCount: config.burstCount,
    refillPerMs: config.burstCount / config.burstMs,
  };
  const sustained: BucketShape = {
    capacityCount: config.sustainedPerMinuteCount,
    refillPerMs: config.sustainedPerMinuteCount / 60_000,
  };
  const burstShape = { maxCount: config.burstCount, perMs: config.burstMs };
  const sustainedShape = { maxCount: config.sustainedPerMinuteCount, perMs: 60_000 };
  const entries = createUserTable<Entry>(
    (nowMs) => ({ burst: fullBucket(burst, nowMs), sustained: fullBucket(sustained, nowMs) }),
    (entry) => entry.burst.atMs,
  );

  const entryOf = (userId: UserId, nowMs: number): Entry => {
    const entry = entries.of(userId, nowMs);
    refill(entry.burst, burst, nowMs);
    refill(entry.sustained, sustained, nowMs);
    return entry;
  };

  return {
    take: (userId, nowMs) => {
      const entry = entryOf(userId, nowMs);
      const wait = Math.max(waitMs(entry.burst, burst), waitMs(entry.sustained, sustained));
      if (wait > 0) return wait;
      entry.burst.tokens -= 1;
      entry.sustained.tokens -= 1;
      return 0;
    },
    seen: (userId, nowMs) => {
      const entry = entryOf(userId, nowMs);
      entry.burst.tokens = Math.max(-burst.capacityCount, entry.burst.tokens - 1);
      entry.sustained.tokens = Math.max(-sustained.capacityCount, entry.sustained.tokens - 1);
    },
    status: (userId, nowMs) => {
      const entry = entries.get(userId);
      if (entry) {
        refill(entry.burst, burst, nowMs);
        refill(entry.sustained, sustained, nowMs);
      }
      return {
        burst: { ...burstShape, remainingCount: wholeTokens(entry?.burst, burst) },
        sustained: { ...sustainedShape, remainingCount: wholeTokens(entry?.sustained, sustained) },
      };
    },
  };
};

const wholeTokens = (bucket: Bucket | undefined, shape: BucketShape): number =>
  bucket ? Math.max(0, Math.floor(bucket.tokens)) : shape.capacityCount;
