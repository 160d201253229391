/** The one file that knows OpenTelemetry; loaded only when tracing is on. */

import { ROOT_CONTEXT, type Span, type SpanContext, TraceFlags, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { withTimeout } from './resilience/deadline.ts';
import { type SpanAttributes, type TraceSpan, type Tracing, parseTraceparent } from './tracing.ts';
import { VERSION } from './version.ts';

/** Spans waiting for export; more are dropped, so that a collector that is away costs memory of this size. */
const QUEUE_MAX_COUNT = 4_096;
const EXPORT_EVERY_MS = 1_000;
const EXPORT_TIMEOUT_MS = 5_000;
const STOP_TIMEOUT_MS = 2_000;

export type OtelOptions = {
  readonly service: string;
  readonly instance: string;
  readonly ratio: number;
  readonly endpoint: string;
};

export const createOtelTracing = ({ service, instance, ratio, endpoint }: OtelOptions): Tracing => {
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': `chat-${service}`,
      'service.version': VERSION,
      'service.instance.id': instance,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({
          url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
          timeoutMillis: EXPORT_TIMEOUT_MS,
        }),
        maxQueueSize: QUEUE_MAX_COUNT,
        scheduledDelayMillis: EXPORT_EVERY_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  });
  const otel = provider.getTracer('chat', VERSION);

  const begin = (
    name: string,
    parent: SpanContext | undefined,
    attributes: SpanAttributes,
    startMs?: number,
  ): Span =>
    otel.startSpan(
      name,
      { attributes, ...(startMs === undefined ? {} : { startTime: startMs }) },
      parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent),
    );

  const wrap = (span: Span): TraceSpan => {
    const context = span.spanContext();
    return {
      traceparent: `00-${context.traceId}-${context.spanId}-01`,
      traceId: context.traceId,
      child: (name, attributes = {}, startMs) => wrap(begin(name, context, attributes, startMs)),
      end: (attributes) => {
        if (!span.isRecording()) return;
        if (attributes !== undefined) span.setAttributes(attributes);
        span.end();
      },
    };
  };

  return {
    tracer: {
      root: (name, attributes = {}) => {
        const span = begin(name, undefined, attributes);
        return span.isRecording() ? wrap(span) : undefined;
      },
      remote: (name, traceparent, attributes = {}) => {
        const ids = parseTraceparent(traceparent);
        if (ids === undefined) return undefined;
        const parent = { ...ids, traceFlags: TraceFlags.SAMPLED, isRemote: true };
        return wrap(begin(name, parent, attributes));
      },
    },
    // A collector that does not answer must not hold up the end of the process.
    stop: () =>
      withTimeout(provider.shutdown(), STOP_TIMEOUT_MS, 'sending the last spans').catch(() => undefined),
  };
};
