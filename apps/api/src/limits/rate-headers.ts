/**
 * `RateLimit-*` headers (draft-ietf-httpapi-ratelimit-headers-07, as most clients know them): of the limit that is nearest
 * to being used up. Reset is the time until all of it is free again; when one request may come is Retry-After.
 */

import type { LimitStatus } from '@chat/contracts/frames';
import type { FastifyReply } from 'fastify';

export const rateLimitHeaders = [
  'ratelimit-policy',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
] as const;

export const setRateLimit = (
  reply: FastifyReply,
  { maxCount, perMs, remainingCount }: LimitStatus,
  fullInMs: number,
): void => {
  reply.header('ratelimit-policy', `${maxCount};w=${Math.ceil(perMs / 1_000)}`);
  reply.header('ratelimit-limit', maxCount);
  reply.header('ratelimit-remaining', remainingCount);
  reply.header('ratelimit-reset', Math.ceil(fullInMs / 1_000));
};
