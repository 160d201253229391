/**
 * The limit of messages for sends by HTTP: the gateway's buckets, for what this api took. A gateway sees these messages in
 * its feed and counts them; the api does not see what came over sockets, or through another api.
 */

import { performance } from 'node:perf_hooks';
import type { UserId } from '@chat/contracts/ids';
import { createMessageLimit } from '@chat/platform/limits/message-limit';
import type { Metrics } from '@chat/platform/metrics';
import type { ApiConfig } from '../config.ts';

type GateConfig = Pick<ApiConfig, 'MESSAGE_BURST_COUNT' | 'MESSAGE_BURST_MS' | 'MESSAGE_SUSTAINED_COUNT'>;

/** The answer takes a message of the user: 0, or how long to wait until one may be sent. */
export const createMessageGate = (config: GateConfig, metrics: Metrics): ((userId: UserId) => number) => {
  const limit = createMessageLimit({
    burstCount: config.MESSAGE_BURST_COUNT,
    burstMs: config.MESSAGE_BURST_MS,
    sustainedPerMinuteCount: config.MESSAGE_SUSTAINED_COUNT,
  });
  const refusals = metrics
    .counter({
      name: 'chat_limit_refusals_total',
      help: 'What a limit refused.',
      labelNames: ['limit'],
    })
    .labels('messages');
  return (userId) => {
    const waitMs = limit.take(userId, performance.now());
    if (waitMs > 0) refusals.inc();
    return waitMs;
  };
};
