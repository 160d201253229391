import { describe, expect, it } from 'vitest';
import type { FeedMessage } from '@chat/platform/nats/ordered-feed';
import type { TraceSpan, Tracer } from '@chat/platform/tracing';
import { createDeliveryTraces } from './delivery-traces.ts';
import type { Partition } from './partition.ts';

const ended: number[] = [];
const tracer: Tracer = {
  root: () => undefined,
  remote: (_name, traceparent, attributes) => {
    if (traceparent === undefined) return undefined;
    const span: TraceSpan = {
      traceparent,
      traceId: '',
      child: () => span,
      end: () => ended.push(Number(attributes?.['chat.seq'])),
    };
    return span;
  },
};
const partition = (isFollowing = true): Partition => ({ index: 1, isFollowing }) as Partition;
const message = (seq: number, traceparent?: string): FeedMessage =>
  ({ seq, headers: { get: () => traceparent } }) as unknown as FeedMessage;

describe('traces of deliveries', () => {
  it('end when the event is flushed, once, and only those that are traced', () => {
    ended.length = 0;
    const traces = createDeliveryTraces(tracer);
    traces.received(partition(), message(1, 'a'));
    traces.received(partition(), message(2));
    traces.received(partition(false), message(3, 'a'));
    for (const seq of [1, 1, 2, 3]) traces.flushed(partition(), seq);
    expect(ended).toEqual([1]);
  });

  it('that are never flushed are forgotten, the oldest first, and later ones are still traced', () => {
    ended.length = 0;
    const traces = createDeliveryTraces(tracer);
    for (let seq = 1; seq <= 1_025; seq += 1) traces.received(partition(), message(seq, 'a'));
    traces.flushed(partition(), 1);
    traces.flushed(partition(), 2);
    traces.flushed(partition(), 1_025);
    expect(ended).toEqual([2, 1_025]);
  });
});
