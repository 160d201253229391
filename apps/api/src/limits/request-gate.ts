/**
 * The limit of requests per user, over all of the api that needs a token. Each api counts what it takes, and what the others
 * say they took (shared-counts.ts).
 */

import { performance } from 'node:perf_hooks';
import type { RequestLimit } from '@chat/platform/limits/request-limit';
import type { onRequestAsyncHookHandler } from 'fastify';
import { userOf } from '../auth/authenticate.ts';
import { refuse } from '../http/refusals.ts';
import type { LimitRefusals } from './limit-refusals.ts';
import { setRateLimit } from './rate-headers.ts';
import type { SharedCounts } from './shared-counts.ts';

const PER_MS = 60_000;

export type RequestGateDeps = {
  readonly limit: RequestLimit;
  readonly perMinuteCount: number;
  readonly shared: Pick<SharedCounts, 'taken'>;
  readonly refused: LimitRefusals;
};

/** After `authenticate`. */
export const limitRequests =
  ({ limit, perMinuteCount, shared, refused }: RequestGateDeps): onRequestAsyncHookHandler =>
  async (request, reply) => {
    const userId = userOf(request);
    const { waitMs, remainingCount, fullInMs } = limit.take(userId, performance.now());
    setRateLimit(reply, { maxCount: perMinuteCount, perMs: PER_MS, remainingCount }, fullInMs);
    if (waitMs === 0) return shared.taken(userId);
    refused(userId, 'requests');
    return refuse(reply, { code: 'RATE_LIMITED', retryAfterMs: waitMs });
  };
