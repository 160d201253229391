/** A token bucket that is only arithmetic: refilled when looked at. Pure. */

export type BucketShape = { readonly capacityCount: number; readonly refillPerMs: number };

export type Bucket = { tokens: number; atMs: number };

export const fullBucket = (shape: BucketShape, nowMs: number): Bucket => ({
  tokens: shape.capacityCount,
  atMs: nowMs,
});

export const refill = (bucket: Bucket, shape: BucketShape, nowMs: number): void => {
  // A clock that steps back refills nothing and takes nothing.
  const elapsedMs = Math.max(0, nowMs - bucket.atMs);
  bucket.tokens = Math.min(shape.capacityCount, bucket.tokens + elapsedMs * shape.refillPerMs);
  bucket.atMs = nowMs;
};

/** How long until one token is there; 0 when one is. */
export const waitMs = (bucket: Bucket, shape: BucketShape): number =>
  bucket.tokens >= 1 ? 0 : Math.ceil((1 - bucket.tokens) / shape.refillPerMs);
