/**
 * Metrics of one process, by the Prometheus conventions: base units in names (`_seconds`, `_bytes`, `_total`), labels of
 * bounded cardinality only (never a user, channel, team or message). Made in `main.ts` and passed down; a metric is
 * made once, at the start, and its child for fixed labels is kept by the caller, so that the hot path looks nothing up.
 */

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { VERSION } from './version.ts';

type Named<L extends string> = {
  readonly name: `chat_${string}`;
  readonly help: string;
  readonly labelNames?: readonly L[];
};

export type Metrics = {
  readonly registry: Registry;
  /** `collect` runs at each scrape; it may `reset` and `inc` the counter to what was counted in a plain number. */
  counter<L extends string = never>(
    options: Named<L> & { readonly collect?: (this: Counter<L>) => void },
  ): Counter<L>;
  /** `collect` runs at each scrape and sets the gauge (`this`): state that is read costs nothing between scrapes. */
  gauge<L extends string = never>(
    options: Named<L> & { readonly collect?: (this: Gauge<L>) => void },
  ): Gauge<L>;
  histogram<L extends string = never>(
    options: Named<L> & { readonly buckets?: readonly number[] },
  ): Histogram<L>;
};

/** 1 ms to 30 s: reads, commands and deliveries. The SLOs' bounds (0.2, 0.3, 0.5, 0.7 s) are edges of buckets. */
export const latencyBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2.5, 5, 10, 30,
] as const;

export type MetricsOptions = {
  /** With prom-client's own metrics of the process (CPU, memory, event loop delay); default: when `service` is given. */
  readonly isProcessWatched?: boolean;
  /** Name of the app: makes `chat_build_info`. */
  readonly service?: string;
};

export const createMetrics = (options: MetricsOptions = {}): Metrics => {
  const { service, isProcessWatched = service !== undefined } = options;
  const registry = new Registry();
  const registers = [registry];
  if (isProcessWatched) {
    collectDefaultMetrics({ register: registry });
    // Gauges with a counter's ending; the same numbers by type stay (`nodejs_active_handles` …).
    for (const kind of ['handles', 'requests', 'resources'])
      registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  }
  if (service !== undefined) {
    new Gauge({
      name: 'chat_build_info',
      help: 'Always 1; its labels say what runs.',
      labelNames: ['service', 'version'],
      registers,
    }).set({ service, version: VERSION }, 1);
    new Gauge({
      name: 'chat_clock_seconds',
      help: 'The clock of this process at the scrape; compared with the scraper it tells a clock that was stepped.',
      registers,
      collect() {
        this.set(Date.now() / 1_000);
      },
    });
  }
  return {
    registry,
    counter: (options) => new Counter({ ...options, labelNames: options.labelNames ?? [], registers }),
    gauge: (options) => new Gauge({ ...options, labelNames: options.labelNames ?? [], registers }),
    histogram: (options) =>
      new Histogram({
        ...options,
        labelNames: options.labelNames ?? [],
        buckets: [...(options.buckets ?? latencyBuckets)],
        registers,
      }),
  };
};
