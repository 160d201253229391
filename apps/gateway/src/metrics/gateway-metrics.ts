/** Every metric of the gateway. What is counted is read from the stats, what is a state from where it lives. */

import type { Metrics } from '@chat/platform/metrics';
import type { Partition } from '../feed/partition.ts';
import type { Session } from '../session/session.ts';
import type { LimitViolators } from '../limits/limit-violators.ts';
import { deviceLags, quantileOf } from './device-lag.ts';
import { type CommandResult, type Counts, type GatewayStats, createGatewayStats } from './gateway-stats.ts';
import { createHotHistogram } from './hot-histogram.ts';

/** Made before everything else, so that what counts can be given it. */
export const createStats = (metrics: Metrics): GatewayStats =>
  createGatewayStats({
    helloSeconds: createHotHistogram(metrics, {
      name: 'chat_gateway_hello_duration_seconds',
      help: 'From the hello frame to its welcome (or refusal).',
    }),
    commandSeconds: createHotHistogram(metrics, {
      name: 'chat_gateway_command_duration_seconds',
      help: 'From the cmd frame to its final outcome (persisted or rejected).',
    }),
    deliverySeconds: createHotHistogram(metrics, {
      name: 'chat_gateway_delivery_duration_seconds',
      help: 'From the cmd frame of a message sent here to its event being handed to the last local member.',
    }),
  });

export type GatewayReadings = {
  readonly sessions: ReadonlySet<Session>;
  readonly partitions: readonly Partition[];
  readonly violators: LimitViolators;
  readonly inFlightCount: () => number;
  readonly queuedBytes: () => number;
  readonly registryCount: () => number;
  readonly isDraining: () => boolean;
  readonly nowMs: () => number;
};

const publishNumber = (metrics: Metrics, name: `chat_${string}`, help: string, read: () => number): void => {
  metrics.counter({
    name,
    help,
    collect() {
      this.reset();
      this.inc(read());
    },
  });
};

const publishCounts = <L extends string>(
  metrics: Metrics,
  name: `chat_${string}`,
  help: string,
  label: L,
  counts: Counts<string>,
): void => {
  metrics.counter({
    name,
    help,
    labelNames: [label],
    collect() {
      this.reset();
      for (const [key, count] of counts.entries) this.inc({ [label]: key } as Record<L, string>, count);
    },
  });
};

const publishState = (metrics: Metrics, name: `chat_${string}`, help: string, read: () => number): void => {
  metrics.gauge({
    name,
    help,
    collect() {
      this.set(read());
    },
  });
};

const publishPartitions = (
  metrics: Metrics,
  partitions: readonly Partition[],
  name: `chat_${string}`,
  help: string,
  read: (partition: Partition) => number,
): void => {
  metrics.gauge({
    name,
    help,
    labelNames: ['partition'],
    collect() {
      for (const partition of partitions) this.set({ partition: String(partition.index) }, read(partition));
    },
  });
};

const publishCounters = (metrics: Metrics, stats: GatewayStats, violators: LimitViolators): void => {
  const number = (name: `chat_${string}`, help: string, read: () => number): void =>
    publishNumber(metrics, name, help, read);
  number('chat_gateway_sockets_opened_total', 'Sockets opened.', () => stats.openedCount);
  number('chat_gateway_reconnects_total', 'Hellos with a cursor.', () => stats.reconnectCount);
  number('chat_gateway_events_total', 'Events flushed from the feeds.', () => stats.eventCount);
  number(
    'chat_gateway_deliveries_total',
    'Events times the sockets they were handed to.',
    () => stats.deliveryCount,
  );
  number(
    'chat_gateway_delivery_errors_total',
    'Frames a socket did not take, and sockets ended because they took nothing or events could not be followed.',
    () => stats.deliveryErrorCount,
  );
  publishCounts(metrics, 'chat_gateway_sockets_closed_total', 'Sockets closed.', 'reason', stats.closed);
  publishCounts(metrics, 'chat_gateway_hellos_total', 'Hellos answered.', 'result', stats.hellos);
  publishCounts(metrics, 'chat_gateway_frames_received_total', 'Frames of clients.', 'type', stats.frames);
  publishCounts(metrics, 'chat_gateway_refusals_total', 'Refusals told to clients.', 'code', stats.refusals);
  publishCounts(metrics, 'chat_limit_refusals_total', 'Refusals by a limit.', 'limit', violators.refusals);
  metrics.counter({
    name: 'chat_gateway_commands_total',
    help: 'Commands by what became of them; unknown: no outcome in time.',
    labelNames: ['name', 'result'],
    collect() {
      this.reset();
      for (const result of Object.keys(stats.commands) as CommandResult[])
        for (const [name, count] of stats.commands[result].entries) this.inc({ name, result }, count);
    },
  });
};

export const publishGatewayMetrics = (
  metrics: Metrics,
  stats: GatewayStats,
  readings: GatewayReadings,
): void => {
  const { sessions, partitions, violators, nowMs } = readings;
  const state = (name: `chat_${string}`, help: string, read: () => number): void =>
    publishState(metrics, name, help, read);
  publishCounters(metrics, stats, violators);
  state('chat_gateway_sockets', 'Open sockets.', () => sessions.size);
  state('chat_gateway_draining', '1 while the gateway sends its clients away.', () =>
    Number(readings.isDraining()),
  );
  state('chat_gateway_commands_in_flight', 'Commands without an outcome yet.', readings.inFlightCount);
  state('chat_gateway_command_queue_bytes', 'Commands not stored yet.', readings.queuedBytes);
  state(
    'chat_gateway_registry_entries',
    'Users of this gateway in the connection registry.',
    readings.registryCount,
  );
  state('chat_limit_violators', 'Users refused by a limit here within the last 5 minutes.', () =>
    violators.count(nowMs()),
  );
  state('chat_gateway_tail_bytes', 'Events kept for resume, all partitions.', () =>
    partitions.reduce((sum, { tail }) => sum + tail.bytes, 0),
  );
  state('chat_gateway_tail_events', 'Events kept for resume, all partitions.', () =>
    partitions.reduce((sum, { tail }) => sum + tail.lastSeq - tail.firstSeq + 1, 0),
  );
  state('chat_gateway_slow_readers', 'Sockets that take nothing at the moment.', () => {
    let count = 0;
    for (const session of sessions) if (session.state === 'replaying' && session.stuckSinceMs > 0) count += 1;
    return count;
  });
  publishPartitions(
    metrics,
    partitions,
    'chat_gateway_partition_position',
    'Last sequence handed to fan-out.',
    (partition) => partition.flushedSeq,
  );
  publishPartitions(
    metrics,
    partitions,
    'chat_gateway_feed_stalled_seconds',
    'Since when the feed is not known to be at the end of its stream or moving; up to 5 in good health.',
    (partition) => (partition.followedAtMs === 0 ? 0 : Math.max(0, nowMs() - partition.followedAtMs) / 1_000),
  );
  metrics.gauge({
    name: 'chat_gateway_device_lag_events',
    help: 'How far acknowledgements of devices are behind what they were sent, over at most 2000 sessions.',
    labelNames: ['fraction'],
    collect() {
      const lags = deviceLags(sessions);
      for (const fraction of [0.5, 0.99, 1])
        this.set({ fraction: String(fraction) }, quantileOf(lags, fraction));
    },
  });
};
