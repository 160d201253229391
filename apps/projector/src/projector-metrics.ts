/** What the projector tells Prometheus. Gauges are read from the partitions at the scrape. */

import type { Metrics } from '@chat/platform/metrics';
import type { PartitionProjector, PartitionStats } from './partition/partition-projector.ts';

const batchBuckets = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];

export type ProjectorMetrics = {
  readonly stats: PartitionStats;
  /** Call once. */
  watch(partitions: readonly { readonly partition: number; readonly projector: PartitionProjector }[]): void;
};

export const createProjectorMetrics = (metrics: Metrics): ProjectorMetrics => {
  const events = metrics.counter({
    name: 'chat_projector_events_total',
    help: 'Events applied to the read model.',
  });
  const foreign = metrics.counter({
    name: 'chat_projector_foreign_events_total',
    help: 'Events about teams of other partitions: passed over, nothing of them is projected.',
  });
  const durations = metrics.histogram({
    name: 'chat_projector_batch_duration_seconds',
    help: 'Time until the read store took a batch, with repetitions.',
  });
  const sizes = metrics.histogram({
    name: 'chat_projector_batch_events',
    help: 'Events in a batch.',
    buckets: batchBuckets,
  });
  return {
    stats: {
      applied: ({ eventCount, foreignCount, durationMs }) => {
        events.inc(eventCount);
        if (foreignCount > 0) foreign.inc(foreignCount);
        sizes.observe(eventCount);
        durations.observe(durationMs / 1_000);
      },
    },
    watch: (partitions) => {
      type Read = (projector: PartitionProjector) => number;
      const perPartition = (name: `chat_projector_${string}`, help: string, read: Read): void => {
        metrics.gauge({
          name,
          help,
          labelNames: ['partition'],
          collect() {
            for (const { partition, projector } of partitions) this.set({ partition }, read(projector));
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
