/** The writer, wired: lease → partitions → (intake → batch → relay), outcomes, purge. See ARCHITECTURE.md. */

import { randomUUID } from 'node:crypto';
import type { Subscription } from '@nats-io/nats-core';
import type pg from 'pg';
import { evtStream } from '@chat/contracts/streams';
import type { Clock } from '@chat/platform/clock';
import { reasonOf } from '@chat/platform/faults';
import type { Check } from '@chat/platform/health';
import type { Logger } from '@chat/platform/log';
import { LEASE_TTL_MS, createLeaseKeeper } from '@chat/platform/lease/lease-keeper';
import { type Metrics, createMetrics } from '@chat/platform/metrics';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { createOrderedFeed } from '@chat/platform/nats/ordered-feed';
import { createWindowedPublisher } from '@chat/platform/nats/publisher';
import { READ_TIMEOUT_MS, createPool } from '@chat/platform/postgres/pool';
import { isServerTrouble } from '@chat/platform/postgres/sqlstate';
import { createGuard } from '@chat/platform/resilience/guard';
import { retryUntil } from '@chat/platform/resilience/backoff';
import { type Service, onceAsync } from '@chat/platform/service';
import type { Tracer } from '@chat/platform/tracing';
import { createBatchLoop } from './batch/batch-loop.ts';
import { createPoisonHandler } from './batch/poison-handler.ts';
import { remakeStream } from './divergence/check-divergence.ts';
import { type FaultPoints, noFaultPoints } from './fault-points.ts';
import { type Intake, createIntake } from './intake/intake.ts';
import { type Position, verifyPosition } from './intake/verify-position.ts';
import { writerLease } from './lease/writer-lease.ts';
import { publishPartitionMetrics } from './metrics/partition-metrics.ts';
import { createStreamWatch } from './metrics/stream-watch.ts';
import { createWriterMetrics } from './metrics/writer-metrics.ts';
import { createOutcomeService } from './outcome/outcome-service.ts';
import { createOutcomeWaiters } from './outcome/outcome-waiters.ts';
import { createRecentOutcomes } from './outcome/recent-outcomes.ts';
import { openPartition } from './partition/open-partition.ts';
import { type PartitionRow, readEventRows } from './partition/partition-row.ts';
import { createPartitionSupervisor } from './partition/partition-supervisor.ts';
import { type PgSession, type Statement, createPgSession } from './postgres/session.ts';
import { createPurge } from './purge/purge.ts';
import { type Relay, RELAY_CHUNK_COUNT, createRelay } from './relay/relay.ts';
import { type WriterStreams, createWriterStreams } from './streams/writer-streams.ts';
import { createTeamCache } from './teams/team-cache.ts';

/** How often an idle event stream is looked at. */
const VERIFY_IDLE_MS = 5_000;
const APPEND_TIMEOUT_MS = 5_000;
const BURSTS_MAX_COUNT = 4_096;
/** Outcome questions and relay recovery; commits and leases have connections of their own. */
const POOL_MAX_COUNT = 4;
/** Questions beyond it are not looked up in the table; they still hear of an outcome that comes while they wait. */
const POOL_WAITING_MAX_COUNT = 1_000;

export type WriterDeps = {
  readonly nats: NatsHandle;
  readonly databaseUrl: string;
  readonly instanceId: string;
  readonly streamReplicas: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly faultPoints?: FaultPoints;
  readonly inboxPrefix?: string;
  readonly leaseTtlMs?: number;
  readonly purge?: { readonly intervalMs: number; readonly windowMs: number };
  /** With how many partitions there are, so that one that nobody owns is seen. */
  readonly metrics?: Metrics;
  readonly partitionCount?: number;
  /** How often the streams are looked at. */
  readonly streamWatchMs?: number;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export type Writer = Service & { readonly checks: Readonly<Record<string, Check>> };

export const createWriter = (deps: WriterDeps): Writer => {
  const {
    nats,
    databaseUrl,
    instanceId,
    clock,
    log,
    faultPoints = noFaultPoints,
    leaseTtlMs = LEASE_TTL_MS,
  } = deps;
  const stopping = new AbortController();
  const metrics = deps.metrics ?? createMetrics();
  const counted = createWriterMetrics(metrics);
  /** Another run of the process is another owner: what its former self left in doubt is not ours by name. */
  const owner = `${instanceId}.${randomUUID().slice(0, 8)}`;
  const streams = createWriterStreams(nats.jsm, { replicas: deps.streamReplicas });
  const teams = createTeamCache();
  const recent = createRecentOutcomes();
  const waiters = createOutcomeWaiters();
  const served = new Map<number, Subscription>();

  const commitSession: PgSession = createPgSession({
    url: databaseUrl,
    name: `writer-commit ${instanceId}`,
    log,
    breaker: { name: 'writer-commit', metrics },
    onLost: (reason) => supervisor.reopenAll(`PostgreSQL: ${reason}`),
  });
  const leaseSession = createPgSession({
    url: databaseUrl,
    name: `writer-lease ${instanceId}`,
    log,
    breaker: { name: 'writer-lease', metrics },
  });
  const pool = createPool({
    url: databaseUrl,
    max: POOL_MAX_COUNT,
    name: `writer ${instanceId}`,
    statementTimeoutMs: READ_TIMEOUT_MS,
    metrics,
    log,
  });
  const guard = createGuard({
    name: 'writer-pool',
    isFailure: isServerTrouble,
    activeMaxCount: POOL_MAX_COUNT,
    waitingMaxCount: POOL_WAITING_MAX_COUNT,
    probe: () => pool.query('SELECT 1'),
    metrics,
    log,
  });
  const poolQuery = <Row>(statement: Statement): Promise<Row[]> =>
    guard.run(async () => (await pool.query(statement as pg.QueryConfig)).rows as Row[]);

  const publisher = createWindowedPublisher({
    nc: nats.nc,
    inboxPrefix: deps.inboxPrefix ?? '_INBOX_writer',
    maxInFlight: BURSTS_MAX_COUNT,
    timeoutMs: APPEND_TIMEOUT_MS,
  });

  const relayOf = (row: PartitionRow, committedSeq: number, streamSeq: number): Relay =>
    createRelay(
      {
        p: row.p,
        publisher,
        lastSeq: () => lastSeqOf(row, streams),
        readRows: (from, to) =>
          readEventRows(poolQuery, row.p, from, Math.min(to, from + RELAY_CHUNK_COUNT - 1)),
        faultPoints,
        onAhead: (streamLastSeq, committed) => {
          const open = supervisor.openPartitions().find((candidate) => candidate.p === row.p);
          if (open) supervisor.reopen(open, `the stream stands at ${streamLastSeq}, the log at ${committed}`);
        },
        wake: () => loop.wake(),
        log,
        onRelayed: counted.relayed,
      },
      committedSeq,
      streamSeq,
    );

  /** A stream that is gone is made again here, with the numbers it had. */
  const lastSeqOf = async (row: PartitionRow, from: WriterStreams): Promise<number> => {
    const name = evtStream(row.p);
    const state = await from.state(name);
    if (state.exists) return state.lastSeq;
    const [current] = await poolQuery<{ next_id: string }>({
      text: 'SELECT next_id FROM partition WHERE p = $1',
      values: [row.p],
    });
    if (!current) throw new Error(`partition ${row.p} has no row`);
    await remakeStream(
      { query: poolQuery, streams, clock, log },
      { ...row, nextId: Number(current.next_id) },
    );
    const made = await from.state(name);
    if (!made.exists) throw new Error(`stream ${name} vanished while it was made`);
    return made.lastSeq;
  };

  const intakeOf = (row: PartitionRow, position: Position): Intake =>
    createIntake({
      p: row.p,
      position,
      verify: (at) => verifyPosition(streams, row.p, at),
      createFeed: (options) =>
        createOrderedFeed({
          nc: nats.nc,
          jsm: nats.jsm,
          namePrefix: `writer_${row.p}_${row.ownerEpoch}`,
          log,
          ...options,
        }),
      wake: () => loop.wake(),
      log,
      tracer: deps.tracer,
    });

  const supervisor = createPartitionSupervisor({
    open: async (p, ownerEpoch, signal) => {
      const open = await openPartition(
        {
          session: commitSession,
          streams,
          owner,
          leaseTtlMs,
          clock,
          log,
          createRelay: relayOf,
          createIntake: intakeOf,
        },
        p,
        ownerEpoch,
        signal,
      );
      // A team whose reading was under way when the partition was closed came into the cache after it was emptied.
      teams.dropPartition(p);
      return open;
    },
    onClosed: (open) => {
      teams.dropPartition(open.p);
      recent.clear();
    },
    wake: () => loop.wake(),
    log,
  });

  const poison = createPoisonHandler({
    session: commitSession,
    js: nats.js,
    teams,
    owner,
    leaseTtlMs,
    clock,
    onSetAside: (plan) => {
      for (const outcome of plan.outcomes.values()) {
        recent.put(outcome);
        waiters.tell(outcome);
      }
    },
    onPoison: counted.poisoned,
    log,
  });

  const loop = createBatchLoop({
    session: commitSession,
    teams,
    recent,
    waiters,
    openPartitions: supervisor.openPartitions,
    reopen: supervisor.reopen,
    reopenAll: supervisor.reopenAll,
    poison,
    owner,
    leaseTtlMs,
    clock,
    faultPoints,
    log,
    metrics: counted,
    isTracing: deps.tracer !== undefined,
  });

  const outcomes = createOutcomeService({
    nc: nats.nc,
    recent,
    waiters,
    query: poolQuery,
    unavailable: supervisor.unavailable,
    relayedSeq: (p) =>
      supervisor
        .openPartitions()
        .find((open) => open.p === p)
        ?.relay.ackedSeq(),
    log,
  });

  const letGo = async (p: number, ownerEpoch: number): Promise<void> => {
    served.get(p)?.unsubscribe();
    served.delete(p);
    await supervisor.lost(p, ownerEpoch);
  };

  const lease = createLeaseKeeper({
    query: leaseSession.query,
    names: writerLease,
    owner,
    log,
    ttlMs: leaseTtlMs,
    onAcquired: (p, ownerEpoch) => {
      counted.takenOver();
      served.get(p)?.unsubscribe();
      served.set(p, outcomes.serve(p));
      supervisor.acquired(p, ownerEpoch);
    },
    onLost: (p, ownerEpoch) => void letGo(p, ownerEpoch),
    onSurplus: letGo,
  });

  const purge = createPurge({
    streams,
    openPartitions: supervisor.openPartitions,
    faultPoints,
    log,
    ...deps.purge,
  });

  const streamWatch = createStreamWatch({
    metrics,
    jsm: nats.jsm,
    ownedPartitions: () => [...served.keys()],
    openPartitions: supervisor.openPartitions,
    log,
    ...(deps.streamWatchMs === undefined ? {} : { everyMs: deps.streamWatchMs }),
  });
  publishPartitionMetrics({
    metrics,
    partitionCount: deps.partitionCount ?? 0,
    isOwned: (p) => served.has(p),
    openPartitions: supervisor.openPartitions,
    unavailable: supervisor.unavailable,
    backlogs: () => streamWatch.backlogs,
  });

  let idleTimer: NodeJS.Timeout | undefined;
  const verifyIdle = (): void => {
    for (const open of supervisor.openPartitions()) void open.relay.verifyIdle();
  };

  const watchReconnects = async (): Promise<void> => {
    for await (const { type } of nats.nc.status()) {
      if (type !== 'reconnect') continue;
      // The server may have come back without its tail, or as another one.
      for (const open of supervisor.openPartitions()) {
        open.relay.doubt('reconnect');
        open.intake.doubt('reconnect');
      }
    }
  };

  return {
    start: onceAsync(async () => {
      await Promise.all([commitSession.start(), leaseSession.start()]);
      void watchReconnects();
      void retryUntil(stopping.signal, () => streams.ensureDeadLetters(), {
        baseMs: 100,
        maxMs: 2_000,
      }).catch((error: unknown) => log.debug({ reason: reasonOf(error) }, 'dead letter stream not made'));
      await loop.start();
      await lease.start();
      await purge.start();
      streamWatch.start();
      idleTimer = setInterval(verifyIdle, VERIFY_IDLE_MS);
    }),
    stop: onceAsync(async () => {
      stopping.abort();
      clearInterval(idleTimer);
      streamWatch.stop();
      await purge.stop();
      // The batch under way commits; what is queued is read again by the next owner.
      await loop.stop();
      log.info({ batchCount: loop.batchCount() }, 'batches committed by this process');
      await supervisor.stop();
      for (const subscription of served.values()) subscription.unsubscribe();
      await lease.stop();
      publisher.close();
      await guard.stop();
      await Promise.all([commitSession.stop(), leaseSession.stop(), pool.end()]);
    }),
    checks: {
      nats: () => nats.status(),
      postgres: () => {
        const reason = commitSession.reason();
        return reason === undefined ? { ok: true } : { ok: false, reason };
      },
      lease: lease.status,
      partitions: supervisor.status,
    },
  };
};
