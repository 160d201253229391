/**
 * Distributed tracing: one trace from a client's frame to each fan-out and projection, as W3C `traceparent` in the headers
 * of NATS messages. Off by default (TRACE_SAMPLE_RATIO=0): then there is no tracer, nothing of OpenTelemetry is loaded, and
 * what remains on the hot paths is one comparison with undefined. Whoever begins a trace (gateway, api) samples it; the
 * others follow the header, if tracing is on there at all. What is not sampled has no header and no span.
 *
 * A span holds names, numbers and codes only: never a text, token or address (I9).
 */

import type { Logger } from './log.ts';

export const HEADER_TRACEPARENT = 'traceparent';

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export type TraceSpan = {
  /** For the header of a message that this span causes: `00-<trace>-<span>-01`. */
  readonly traceparent: string;
  /** For log lines. */
  readonly traceId: string;
  /** Began at `startMs` (ms since the Unix epoch), or now. */
  child(name: string, attributes?: SpanAttributes, startMs?: number): TraceSpan;
  /** Ends it, now; only the first call counts. */
  end(attributes?: SpanAttributes): void;
};

export type Tracer = {
  /** Begins a trace; undefined when it is not sampled. */
  root(name: string, attributes?: SpanAttributes): TraceSpan | undefined;
  /** Goes on with the trace of a message; undefined without a sound, sampled header. */
  remote(name: string, traceparent: string | undefined, attributes?: SpanAttributes): TraceSpan | undefined;
};

export type TracingOptions = {
  readonly service: string;
  readonly instance: string;
  /** Share of traces that are sampled, 0 to 1. */
  readonly ratio: number;
  /** Base URL of an OTLP/HTTP collector. */
  readonly endpoint: string;
  readonly log: Logger;
};

export type Tracing = {
  /** Undefined when off. */
  readonly tracer: Tracer | undefined;
  /** Sends what is still held, bounded in time. */
  stop(): Promise<void>;
};

export const startTracing = async (options: TracingOptions): Promise<Tracing> => {
  const { service, instance, ratio, endpoint, log } = options;
  if (ratio === 0) return { tracer: undefined, stop: async () => undefined };
  const { createOtelTracing } = await import('./otel-tracing.ts');
  log.info({ ratio }, 'tracing is on');
  return createOtelTracing({ service, instance, ratio, endpoint });
};

/** The ids of a sampled `traceparent`, or undefined (another version, not sampled, not one). */
export const parseTraceparent = (
  text: string | undefined,
): { readonly traceId: string; readonly spanId: string } | undefined => {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text ?? '');
  if (match === null) return undefined;
  const [, traceId = '', spanId = '', flags = ''] = match;
  const isSampled = (Number.parseInt(flags, 16) & 1) === 1;
  return isSampled && /[1-9a-f]/.test(traceId) && /[1-9a-f]/.test(spanId) ? { traceId, spanId } : undefined;
};
