/** What the projector tells Prometheus. Gauges are read from what is open at the scrape, and say nothing of what is not. */

import type { ViewName, ViewVersion } from '@chat/read-model/catalog/catalog';
import type { Metrics } from '@chat/platform/metrics';
import type { PartitionProjector, PartitionStats } from './partition/partition-projector.ts';

const batchBuckets = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];

/** One version of a view in a partition. `stage`: a version that is being built may be far behind, and nobody reads it. */
export type OpenProjection = {
  readonly partition: number;
  readonly view: ViewName;
  readonly stage: ViewVersion['state'];
  readonly projector: PartitionProjector;
};

export type ProjectorMetrics = {
  statsOf(view: ViewName): PartitionStats;
  /** Call once. */
  watch(open: () => Iterable<OpenProjection>): void;
};

export const createProjectorMetrics = (metrics: Metrics): ProjectorMetrics => {
  const events = metrics.counter({
    name: 'chat_projector_events_total',
    help: 'Events applied to a view, by all its versions together.',
    labelNames: ['view'],
  });
  const foreign = metrics.counter({
    name: 'chat_projector_foreign_events_total',
    help: 'Events about teams of other partitions: passed over, nothing of them is projected.',
    labelNames: ['view'],
  });
  const durations = metrics.histogram({
    name: 'chat_projector_batch_duration_seconds',
    help: 'Time until the read store took a batch, with repetitions.',
    labelNames: ['view'],
  });
  const sizes = metrics.histogram({
    name: 'chat_projector_batch_events',
    help: 'Events in a batch.',
    labelNames: ['view'],
    buckets: batchBuckets,
  });
  return {
    statsOf: (view) => {
      const labels = { view };
      const counted = events.labels(labels);
      const passed = foreign.labels(labels);
      const timed = durations.labels(labels);
      const sized = sizes.labels(labels);
      return {
        applied: ({ eventCount, foreignCount, durationMs }) => {
          counted.inc(eventCount);
          if (foreignCount > 0) passed.inc(foreignCount);
          sized.observe(eventCount);
          timed.observe(durationMs / 1_000);
        },
      };
    },
    watch: (open) => {
      type Read = (projector: PartitionProjector) => number;
      const perPartition = (name: `chat_projector_${string}`, help: string, read: Read): void => {
        metrics.gauge({
          name,
          help,
          labelNames: ['partition', 'view', 'stage'],
          collect() {
            this.reset();
            for (const { partition, view, stage, projector } of open())
              this.set({ partition, view, stage }, read(projector));
          },
        });
      };
      perPartition(
        'chat_projector_partition_position',
        'Sequence of the last applied event.',
        (projector) => projector.state().seq,
      );
      perPartition(
        'chat_projector_lag_events',
        'Events of the log that are not applied, as last seen.',
        (projector) => projector.lag().events,
      );
      perPartition(
        'chat_projector_lag_seconds',
        'Age of the oldest event that was read and is not applied.',
        (projector) => projector.lag().seconds,
      );
      perPartition(
        'chat_projector_partition_halted',
        '1: halted at an event that must not be applied; a person must look.',
        (projector) => (projector.state().state === 'halted' ? 1 : 0),
      );
    },
  };
};
