/**
 * Traces of events on their way from the feed to the sockets. At most TRACED_MAX_COUNT are held; then the oldest is
 * forgotten (events of a feed that began anew are never flushed), and its trace ends at the writer's relay.
 */

import type { FeedMessage } from '@chat/platform/nats/ordered-feed';
import { HEADER_TRACEPARENT, type TraceSpan, type Tracer } from '@chat/platform/tracing';
import type { Partition } from './partition.ts';

const TRACED_MAX_COUNT = 1_024;

export type DeliveryTraces = {
  received(partition: Partition, message: FeedMessage): void;
  flushed(partition: Partition, seq: number): void;
};

export const createDeliveryTraces = (tracer: Tracer): DeliveryTraces => {
  const open = new Map<string, TraceSpan>();
  return {
    received: (partition, message) => {
      if (!partition.isFollowing) return;
      const { index } = partition;
      const attributes = { 'chat.partition': index, 'chat.seq': message.seq };
      const span = tracer.remote('gateway.fanout', message.headers?.get(HEADER_TRACEPARENT), attributes);
      if (span === undefined) return;
      if (open.size >= TRACED_MAX_COUNT)
        for (const oldest of open.keys()) {
          open.delete(oldest);
          break;
        }
      open.set(`${index}:${message.seq}`, span);
    },
    flushed: (partition, seq) => {
      if (open.size === 0) return;
      const key = `${partition.index}:${seq}`;
      open.get(key)?.end();
      open.delete(key);
    },
  };
};
