/** State of the partitions at the scrape: who owns them, where they stand, what has not been published. */

import type { Metrics } from '@chat/platform/metrics';
import type { OpenPartition } from '../partition/open-partition.ts';

export type PartitionMetricsDeps = {
  readonly metrics: Metrics;
  readonly partitionCount: number;
  readonly isOwned: (p: number) => boolean;
  readonly openPartitions: () => readonly OpenPartition[];
  /** Undefined: open. */
  readonly unavailable: (p: number) => string | undefined;
  /** Commands of owned partitions that wait in CMD, as of the last look. */
  readonly backlogs: () => ReadonlyMap<number, number>;
};

export const publishPartitionMetrics = (deps: PartitionMetricsDeps): void => {
  const { metrics, partitionCount, isOwned, openPartitions } = deps;

  /** One value for every partition, owned or not. */
  const ofAll = (name: `chat_${string}`, help: string, read: (p: number) => number): void => {
    metrics.gauge({
      name,
      help,
      labelNames: ['partition'],
      collect() {
        for (let p = 0; p < partitionCount; p += 1) this.set({ partition: String(p) }, read(p));
      },
    });
  };
  /** A value for the open ones only: what was lost or is being opened has none. */
  const ofOpen = (name: `chat_${string}`, help: string, read: (open: OpenPartition) => number): void => {
    metrics.gauge({
      name,
      help,
      labelNames: ['partition'],
      collect() {
        this.reset();
        for (const open of openPartitions()) this.set({ partition: String(open.p) }, read(open));
      },
    });
  };

  ofAll('chat_writer_partition_owned', '1 where this process holds the lease.', (p) => (isOwned(p) ? 1 : 0));
  ofAll(
    'chat_writer_partition_halted',
    '1 where database and stream contradict each other and an operator must choose.',
    (p) => (isOwned(p) && deps.unavailable(p)?.startsWith('halted:') === true ? 1 : 0),
  );
  ofOpen('chat_writer_partition_owner_epoch', 'Epoch of the lease.', (open) => open.ownerEpoch);
  ofOpen('chat_writer_partition_position', 'Last committed event.', (open) => open.nextId - 1);
  ofOpen('chat_writer_unpublished_events', 'Committed and not acknowledged by the stream.', (open) =>
    open.relay.unackedCount(),
  );
  ofOpen(
    'chat_writer_oldest_unpublished_seconds',
    'How long the oldest of them waits.',
    (open) => open.relay.oldestUnackedMs() / 1_000,
  );
  metrics.gauge({
    name: 'chat_writer_command_backlog',
    help: 'Commands accepted and not committed, looked at every few seconds.',
    labelNames: ['partition'],
    collect() {
      this.reset();
      for (const [p, count] of deps.backlogs()) this.set({ partition: String(p) }, count);
    },
  });
};
