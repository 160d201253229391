/** What the writer counts on its way; what is state (positions, lags, streams) is read at the scrape: see partition-metrics.ts. */

import type { Metrics } from '@chat/platform/metrics';
import type { ErrorKind } from '@chat/platform/postgres/sqlstate';

export type WriterMetrics = {
  batchCommitted(commandCount: number, durationMs: number): void;
  /** `outcome`: persisted, rejected or repeat. */
  commandDecided(name: string, outcome: CommandOutcome, count: number): void;
  /** A burst of the relay was acknowledged so long after it was given to it. */
  relayed(eventCount: number, durationMs: number): void;
  poisoned(): void;
  takenOver(): void;
  databaseFailed(kind: ErrorKind): void;
};

export type CommandOutcome = 'persisted' | 'rejected' | 'repeat';

/** Up to BATCH_MAX_COUNT. */
const batchBuckets = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

export const createWriterMetrics = (metrics: Metrics): WriterMetrics => {
  const batches = metrics.histogram({
    name: 'chat_writer_batch_commands',
    help: 'Commands committed in one transaction.',
    buckets: batchBuckets,
  });
  const commits = metrics.histogram({
    name: 'chat_writer_commit_duration_seconds',
    help: 'One transaction, from its statement to the answer.',
  });
  const relays = metrics.histogram({
    name: 'chat_writer_relay_duration_seconds',
    help: 'From the commit of a batch to the acknowledgement of its events by the stream.',
  });
  const events = metrics.counter({
    name: 'chat_writer_relayed_events_total',
    help: 'Events acknowledged by the stream.',
  });
  const commands = metrics.counter({
    name: 'chat_writer_commands_total',
    help: 'Commands by outcome; a repeat got the first one again.',
    labelNames: ['name', 'outcome'],
  });
  const poison = metrics.counter({
    name: 'chat_writer_poison_commands_total',
    help: 'Commands set aside after they failed again and again.',
  });
  const takeovers = metrics.counter({
    name: 'chat_writer_takeovers_total',
    help: 'Leases of partitions taken by this process.',
  });
  const failures = metrics.counter({
    name: 'chat_database_errors_total',
    help: 'Transactions that failed: transient (tried again), data, fenced, bug.',
    labelNames: ['kind'],
  });
  for (const kind of ['transient', 'data', 'fenced', 'bug'] as const) failures.inc({ kind }, 0);
  return {
    batchCommitted: (commandCount, durationMs) => {
      batches.observe(commandCount);
      commits.observe(durationMs / 1_000);
    },
    commandDecided: (name, outcome, count) => commands.inc({ name, outcome }, count),
    relayed: (eventCount, durationMs) => {
      events.inc(eventCount);
      relays.observe(durationMs / 1_000);
    },
    poisoned: () => poison.inc(),
    takenOver: () => takeovers.inc(),
    databaseFailed: (kind) => failures.inc({ kind }),
  };
};
