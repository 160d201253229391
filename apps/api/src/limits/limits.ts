/** The limits of people at this api: requests and messages, each with what the user did by other ways. */

import { performance } from 'node:perf_hooks';
import { createMessageLimit } from '@chat/platform/limits/message-limit';
import { createRequestLimit } from '@chat/platform/limits/request-limit';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type Service, onceAsync } from '@chat/platform/service';
import type { onRequestAsyncHookHandler } from 'fastify';
import type { ApiConfig } from '../config.ts';
import { createLimitRefusals } from './limit-refusals.ts';
import { type MessageGate, createMessageGate } from './message-gate.ts';
import { limitRequests } from './request-gate.ts';
import { createSentElsewhere } from './sent-elsewhere.ts';
import { createSharedCounts } from './shared-counts.ts';

export type Limits = Service & {
  readonly messageGate: MessageGate;
  /** A hook for after `authenticate`. */
  readonly limitRequests: onRequestAsyncHookHandler;
};

export type LimitsDeps = {
  readonly config: Pick<
    ApiConfig,
    | 'INSTANCE_ID'
    | 'MESSAGE_BURST_COUNT'
    | 'MESSAGE_BURST_MS'
    | 'MESSAGE_SUSTAINED_COUNT'
    | 'API_REQUESTS_PER_MINUTE_COUNT'
  >;
  readonly nats: Pick<NatsHandle, 'nc'>;
  readonly metrics: Metrics;
  readonly log: Logger;
};

export const createLimits = ({ config, nats, metrics, log }: LimitsDeps): Limits => {
  const perMinuteCount = config.API_REQUESTS_PER_MINUTE_COUNT;
  const refused = createLimitRefusals(metrics, log);
  const messages = createMessageLimit({
    burstCount: config.MESSAGE_BURST_COUNT,
    burstMs: config.MESSAGE_BURST_MS,
    sustainedPerMinuteCount: config.MESSAGE_SUSTAINED_COUNT,
  });
  const sentElsewhere = createSentElsewhere({
    nats,
    onSent: (userId) => messages.seen(userId, performance.now()),
    log,
  });
  const requests = createRequestLimit(perMinuteCount);
  const shared = createSharedCounts({
    nats,
    instance: config.INSTANCE_ID,
    onTaken: (userId, count) => requests.seen(userId, count, performance.now()),
    log,
  });
  return {
    messageGate: createMessageGate({ limit: messages, sentElsewhere, refused }),
    limitRequests: limitRequests({ limit: requests, perMinuteCount, shared, refused }),
    start: onceAsync(async () => {
      await sentElsewhere.start();
      await shared.start();
    }),
    stop: onceAsync(async () => {
      await sentElsewhere.stop();
      await shared.stop();
    }),
  };
};
