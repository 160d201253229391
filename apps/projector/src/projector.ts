/** Wires the partitions: each follows its own stream, applies its own batches and writes its own membership view. */

import { type Clock, systemClock } from '@chat/platform/clock';
import type { Check } from '@chat/platform/health';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type Service, onceAsync } from '@chat/platform/service';
import type { Tracer } from '@chat/platform/tracing';
import type { ReadModel } from '@chat/read-model/port';
import type { ProjectorConfig } from './config.ts';
import { type MembersPublisher, createMembersPublisher } from './membership/members-publisher.ts';
import { createMembersStore } from './membership/members-store.ts';
import { createProjectorMetrics } from './projector-metrics.ts';
import type { EventLog } from './partition/event-log.ts';
import { type PartitionProjector, createPartitionProjector } from './partition/partition-projector.ts';

export type ProjectorDeps = {
  readonly config: ProjectorConfig;
  readonly nats: NatsHandle;
  readonly readModel: ReadModel;
  readonly eventLog: EventLog;
  readonly metrics: Metrics;
  readonly clock?: Clock;
  readonly log: Logger;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export type Projector = Service & {
  /** One check a partition; each shows where it stands. */
  readonly checks: Readonly<Record<string, Check>>;
};

type Part = {
  readonly partition: number;
  readonly members: MembersPublisher;
  readonly projector: PartitionProjector;
};

export const createProjector = ({
  config,
  nats,
  readModel,
  eventLog,
  metrics: registry,
  clock = systemClock,
  log,
  tracer,
}: ProjectorDeps): Projector => {
  const store = createMembersStore(nats, config.STREAM_REPLICAS);
  const metrics = createProjectorMetrics(registry);
  const share = (total: number, least: number): number =>
    Math.max(least, Math.floor(total / config.PARTITIONS));
  const parts = Array.from({ length: config.PARTITIONS }, (_, partition): Part => {
    const members = createMembersPublisher({
      partition,
      readModel,
      store,
      intervalMs: config.POSITION_INTERVAL_MS,
      log,
    });
    const projector = createPartitionProjector({
      partition,
      instance: config.INSTANCE_ID,
      nats,
      readModel,
      eventLog,
      members,
      batch: { maxCount: config.BATCH_MAX_COUNT, maxBytes: config.BATCH_MAX_BYTES },
      buffer: {
        maxCount: share(config.BUFFER_MAX_COUNT, 1_000),
        maxBytes: share(config.BUFFER_MAX_BYTES, 2 ** 20),
      },
      batchIntervalMs: config.BATCH_INTERVAL_MS,
      idleCheckMs: config.IDLE_CHECK_MS,
      stats: metrics.stats,
      clock,
      log,
      tracer,
    });
    return { partition, members, projector };
  });
  metrics.watch(parts);

  return {
    checks: Object.fromEntries(parts.map((part) => [`partition-${part.partition}`, checkOf(part)])),
    start: onceAsync(async () => {
      for (const { members, projector } of parts) {
        await members.start();
        await projector.start();
      }
    }),
    // What is being applied is finished first, then its memberships are published.
    stop: onceAsync(async () => {
      await Promise.all(parts.map(({ projector }) => projector.stop()));
      await Promise.all(parts.map(({ members }) => members.stop()));
    }),
  };
};

const checkOf =
  ({ projector, members }: Part): Check =>
  () => {
    const { ok, reason, ...where } = projector.state();
    const why = reason ?? members.trouble();
    const shown = { ...where, ...(why === undefined ? {} : { reason: why }) };
    return ok && members.trouble() === undefined
      ? { ok: true, ...shown }
      : { ok: false, ...shown, reason: why ?? where.state };
  };
