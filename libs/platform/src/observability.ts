/** What every process shows of itself: its traces, its metrics, and the server that answers a scrape. */

import type { Logger } from './log.ts';
import { type Metrics, createMetrics } from './metrics.ts';
import { type MetricsServer, createMetricsServer } from './metrics-server.ts';
import { type Tracing, startTracing } from './tracing.ts';

export type ObservabilityOptions = {
  readonly service: string;
  /** As every app reads it (`commonOptions`). */
  readonly config: {
    readonly INSTANCE_ID: string;
    readonly TRACE_SAMPLE_RATIO: number;
    readonly OTEL_EXPORTER_OTLP_ENDPOINT: string;
    readonly METRICS_HOST: string;
    readonly METRICS_PORT: number;
  };
  readonly log: Logger;
};

export type Observability = {
  readonly tracing: Tracing;
  readonly metrics: Metrics;
  /** Not yet listening: `runService` starts it first and stops it last. */
  readonly metricsServer: MetricsServer;
};

export const createObservability = async (options: ObservabilityOptions): Promise<Observability> => {
  const { service, config, log } = options;
  const tracing = await startTracing({
    service,
    instance: config.INSTANCE_ID,
    ratio: config.TRACE_SAMPLE_RATIO,
    endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
    log,
  });
  const metrics = createMetrics({ service });
  const { METRICS_HOST: host, METRICS_PORT: port } = config;
  return { tracing, metrics, metricsServer: createMetricsServer({ host, port, metrics, log }) };
};
