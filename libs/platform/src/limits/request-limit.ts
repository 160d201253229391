/**
 * Requests per user: one token bucket, refilled evenly. What another process took for the user (`seen`) may drive it below
 * zero, down to minus its capacity, so that a debt is paid back within a minute. Bound: see user-table.ts.
 */

import type { UserId } from '@chat/contracts/ids';
import { type Bucket, type BucketShape, fullBucket, refill, waitMs } from './token-bucket.ts';
import { createUserTable } from './user-table.ts';

const PER_MS = 60_000;

export type RequestLimitVerdict = {
  /** 0: taken; else how long until a request may be taken. */
  readonly waitMs: number;
  readonly remainingCount: number;
  /** Until the bucket is full again, if nothing else is taken. */
  readonly fullInMs: number;
};

export type RequestLimit = {
  take(userId: UserId, nowMs: number): RequestLimitVerdict;
  /** `count` requests of the user that another process took. */
  seen(userId: UserId, count: number, nowMs: number): void;
};

export const createRequestLimit = (perMinuteCount: number): RequestLimit => {
  const shape: BucketShape = { capacityCount: perMinuteCount, refillPerMs: perMinuteCount / PER_MS };
  const buckets = createUserTable<Bucket>(
    (nowMs) => fullBucket(shape, nowMs),
    ({ atMs }) => atMs,
  );
  const bucketOf = (userId: UserId, nowMs: number): Bucket => {
    const bucket = buckets.of(userId, nowMs);
    refill(bucket, shape, nowMs);
    return bucket;
  };

  return {
    take: (userId, nowMs) => {
      const bucket = bucketOf(userId, nowMs);
      const wait = waitMs(bucket, shape);
      if (wait === 0) bucket.tokens -= 1;
      return {
        waitMs: wait,
        remainingCount: Math.max(0, Math.floor(bucket.tokens)),
        fullInMs: Math.ceil((shape.capacityCount - bucket.tokens) / shape.refillPerMs),
      };
    },
    seen: (userId, count, nowMs) => {
      const bucket = bucketOf(userId, nowMs);
      bucket.tokens = Math.max(-shape.capacityCount, bucket.tokens - count);
    },
  };
};
