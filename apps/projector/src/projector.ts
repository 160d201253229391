/**
 * Wires the partitions: each that is open follows its own stream, once for every version of every view that the catalogue
 * names. The catalogue is looked at every `CATALOG_INTERVAL_MS`, and when a partition is opened.
 */

import { type Clock, systemClock } from '@chat/platform/clock';
import type { Check } from '@chat/platform/health';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type Service, onceAsync } from '@chat/platform/service';
import type { Tracer } from '@chat/platform/tracing';
import type { ViewStore } from '@chat/read-model/catalog/view-store';
import type { ProjectorConfig } from './config.ts';
import { createDriftMetrics } from './drift/drift-metrics.ts';
import { createDriftRunner } from './drift/drift-runner.ts';
import { createDriftWatch } from './drift/drift-watch.ts';
import { createMembersPublisher } from './membership/members-publisher.ts';
import { createMembersStore } from './membership/members-store.ts';
import { createPartitionProjector } from './partition/partition-projector.ts';
import type { EventLog } from './partition/event-log.ts';
import { createOpsHandlers } from './ops/ops-handlers.ts';
import { createOpsService } from './ops/ops-service.ts';
import { createProjectorMetrics } from './projector-metrics.ts';
import { type FillTurns, createFillTurns } from './rebuild/fill-turns.ts';
import { createRebuildController } from './rebuild/rebuild-controller.ts';
import { type PartitionViews, createPartitionViews } from './views/partition-views.ts';
import { createVersionFollower } from './views/version-follower.ts';

/** Who says which partitions are ours. Calls of one partition never overlap. */
export type OwnershipEvents = {
  readonly onGained: (partition: number) => Promise<void>;
  /** Resolves when nothing of the partition runs any more. */
  readonly onLost: (partition: number) => Promise<void>;
};

export type ProjectorDeps = {
  readonly config: ProjectorConfig;
  readonly nats: NatsHandle;
  readonly store: ViewStore;
  readonly eventLog: EventLog;
  /** Started last and stopped first. Without it every partition is ours. */
  readonly ownership?: ((events: OwnershipEvents) => Service) | undefined;
  readonly metrics: Metrics;
  readonly clock?: Clock;
  readonly log: Logger;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export type Projector = Service & {
  /** One check a partition; each shows where it stands. */
  readonly checks: Readonly<Record<string, Check>>;
  /** Of a partition that is ours. Both are quick while servers are in trouble, and neither throws for it. */
  openPartition(partition: number): Promise<void>;
  /** Resolves when nothing of it runs any more. */
  closePartition(partition: number): Promise<void>;
};

/** A live version that is farther behind goes before what is being built. */
const BEHIND_COUNT = 2_000;

export const createProjector = (deps: ProjectorDeps): Projector => {
  const { config, store, log } = deps;
  const open = new Map<number, PartitionViews>();
  const metrics = createProjectorMetrics(deps.metrics);
  const projections = () => [...open.values()].flatMap((views) => views.projections());
  const fill = createFillTurns(() =>
    projections().some(({ stage, projector }) => stage === 'live' && projector.lag().events > BEHIND_COUNT),
  );
  const makeViews = viewsMaker(deps, metrics, fill);
  const controller = createRebuildController({
    partitionCount: config.PARTITIONS,
    nats: deps.nats,
    store,
    graceMs: config.VIEW_GRACE_MS,
    intervalMs: config.CATALOG_INTERVAL_MS,
    log,
  });
  const follower = createVersionFollower({
    store,
    intervalMs: config.CATALOG_INTERVAL_MS,
    open: () => open.values(),
    afterLook: controller.afterLook,
    log,
  });
  metrics.watch(projections);

  const openPartition = async (partition: number): Promise<void> => {
    if (!open.has(partition)) open.set(partition, makeViews(partition));
    follower.lookNow();
  };
  const closePartition = async (partition: number): Promise<void> => {
    const views = open.get(partition);
    await views?.close();
    open.delete(partition);
  };
  const all = Array.from({ length: config.PARTITIONS }, (_, partition) => partition);
  const ownership =
    deps.ownership?.({ onGained: openPartition, onLost: closePartition }) ??
    everyPartition(all, openPartition, closePartition);

  const drift = createDriftRunner({ ...deps, metrics: createDriftMetrics(deps.metrics) });
  const ops = createOpsService({ nc: deps.nats.nc, handlers: createOpsHandlers({ ...deps, drift }), log });
  const driftWatch = createDriftWatch({
    runner: drift,
    open: () => [...open.keys()],
    intervalMs: config.DRIFT_INTERVAL_MS,
    log,
  });

  return {
    openPartition,
    closePartition,
    checks: Object.fromEntries(
      all.map((partition): [string, Check] => [
        `partition-${partition}`,
        () => open.get(partition)?.check() ?? { ok: true, state: 'elsewhere' },
      ]),
    ),
    start: onceAsync(async () => {
      await follower.start();
      await ownership.start();
      await ops.start();
      await driftWatch.start();
    }),
    stop: onceAsync(async () => {
      await driftWatch.stop();
      await ops.stop();
      await follower.stop();
      await ownership.stop();
    }),
  };
};

const everyPartition = (
  all: readonly number[],
  open: (partition: number) => Promise<void>,
  close: (partition: number) => Promise<void>,
): Service => ({
  start: async () => {
    await Promise.all(all.map(open));
  },
  stop: async () => {
    await Promise.all(all.map(close));
  },
});

const viewsMaker = (
  { config, nats, store, eventLog, clock = systemClock, log, tracer }: ProjectorDeps,
  metrics: ReturnType<typeof createProjectorMetrics>,
  fill: FillTurns,
): ((partition: number) => PartitionViews) => {
  const members = createMembersStore(nats, config.STREAM_REPLICAS);
  const share = (total: number, least: number): number =>
    Math.max(least, Math.floor(total / (config.PARTITIONS * store.views.length)));
  const stats = { core: metrics.statsOf('core'), search: metrics.statsOf('search') };
  return (partition) =>
    createPartitionViews({
      partition,
      makeMembers: (core) =>
        createMembersPublisher({
          partition,
          readModel: core,
          store: members,
          intervalMs: config.POSITION_INTERVAL_MS,
          log,
        }),
      makeProjector: ({ view, version, open }, isBuilding) =>
        createPartitionProjector({
          partition,
          instance: config.INSTANCE_ID,
          nats,
          id: { view, version },
          target: open.target,
          eventLog,
          fill: () => (isBuilding() ? fill : undefined),
          batch: { maxCount: config.BATCH_MAX_COUNT, maxBytes: config.BATCH_MAX_BYTES },
          buffer: {
            maxCount: share(config.BUFFER_MAX_COUNT, 1_000),
            maxBytes: share(config.BUFFER_MAX_BYTES, 2 ** 20),
          },
          batchIntervalMs: config.BATCH_INTERVAL_MS,
          idleCheckMs: config.IDLE_CHECK_MS,
          stats: stats[view],
          clock,
          log,
          tracer: view === 'core' ? tracer : undefined,
        }),
    });
};
