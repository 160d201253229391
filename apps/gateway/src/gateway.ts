/** Wires the gateway together. Read it top down: what is below needs what is above. */

import { randomUUID } from 'node:crypto';
import { parseTeamId, partitionOf } from '@chat/contracts/ids';
import { FRAME_MAX_BYTES, TEXT_MAX_BYTES } from '@chat/contracts/limits';
import { closeCodes } from '@chat/contracts/protocol';
import type { ErrorCode } from '@chat/contracts/errors';
import type { TokenVerifier } from '@chat/platform/auth/tokens';
import type { CheckResult } from '@chat/platform/health';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { createWindowedPublisher } from '@chat/platform/nats/publisher';
import { type Service, onceAsync } from '@chat/platform/service';
import type { Tracer } from '@chat/platform/tracing';
import { createCommandEntry } from './command/command-entry.ts';
import { createCommandQueue } from './command/command-queue.ts';
import { createOutcomeAsker } from './command/outcome-asker.ts';
import { createOutcomes } from './command/outcomes.ts';
import { createStoreGuard } from './command/store-guard.ts';
import type { GatewayConfig } from './config.ts';
import { createDrain } from './drain/drain.ts';
import { createDrainRequests } from './drain/drain-requests.ts';
import { createEphemeral } from './ephemeral/ephemeral.ts';
import { createFanout } from './fanout/fanout.ts';
import { createTurn } from './fanout/turn.ts';
import { createUserEvents } from './fanout/user-events.ts';
import { createDeliveryTraces } from './feed/delivery-traces.ts';
import { Partition } from './feed/partition.ts';
import { createPartitionFeed } from './feed/partition-feed.ts';
import { createLimitViolators } from './limits/limit-violators.ts';
import { createMessageLimit } from '@chat/platform/limits/message-limit';
import { createLoadMembership } from './membership/load-membership.ts';
import { createMembersPositions } from './membership/members-position.ts';
import { createStats, publishGatewayMetrics } from './metrics/gateway-metrics.ts';
import { createRegistry } from './registry/registry.ts';
import { createReplayer } from './resume/replayer.ts';
import { createStreamReplay } from './resume/stream-replay.ts';
import { createFrameEntry } from './session/frame-entry.ts';
import { createHeartbeat } from './session/heartbeat.ts';
import { createHello } from './session/hello.ts';
import { Session } from './session/session.ts';
import { createSessions } from './session/sessions.ts';
import { type UwsServer, createUwsServer } from './uws-server.ts';

/** uWS cuts off frames over this with 1009; between our own limit and this a client gets FRAME_TOO_LARGE. */
const UWS_PAYLOAD_MAX_BYTES = 256 * 1024;
const IDLE_TIMEOUT_SECONDS = 60;
const PUBLISH_TIMEOUT_MS = 2_000;

export type GatewayDeps = {
  readonly config: GatewayConfig;
  /** Feed, commands, membership. */
  readonly nats: NatsHandle;
  /** Only for replays from the stream. */
  readonly replayNats: NatsHandle;
  readonly inboxPrefix: string;
  readonly tokens: TokenVerifier;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly nowMs?: () => number;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export type Gateway = Service & {
  readonly checks: Readonly<Record<string, () => CheckResult>>;
  /** The port it listens on, after start. */
  port(): number;
  sessionCount(): number;
};

export const createGateway = (deps: GatewayDeps): Gateway => {
  const { config, nats, log, tracer } = deps;
  const traces = tracer && createDeliveryTraces(tracer);
  const nowMs = deps.nowMs ?? Date.now;
  const namePrefix = `gateway_${config.INSTANCE_ID}`;
  let isRefusing = false;
  let listeningPort = 0;
  const stats = createStats(deps.metrics);
  const violators = createLimitViolators(log);

  const partitions = Array.from(
    { length: config.PARTITIONS },
    (_, index) =>
      new Partition(index, {
        maxCount: config.TAIL_MAX_COUNT,
        maxBytes: Math.floor(config.TAIL_MAX_BYTES / config.PARTITIONS),
        maxAgeMs: config.TAIL_MAX_AGE_MS,
      }),
  );
  const dirty = new Set<Partition>();

  const turn = createTurn({
    flushEvents: () => {
      replayer.leaveDropped(false);
      for (const partition of dirty) {
        if (fanout.flush(partition)) turn.request();
        else dirty.delete(partition);
      }
      ephemeral.flush();
    },
    continueReplay: (session) => replayer.advance(session),
    flushOutbox: (session) => sessions.flushOutbox(session),
  });
  const onEvents = (partition: Partition): void => {
    dirty.add(partition);
    turn.request();
  };

  const sessions = createSessions({
    maxBufferedBytes: config.SOCKET_MAX_BUFFERED_BYTES,
    addOutbox: turn.addOutbox,
    stats,
    nowMs,
    onGone: (session) => {
      replayer.leaveAll(session);
      if (session.isRegistered) registry.left(session.teamId, session.userId);
      if (session.userScope) {
        session.userScope.sessions.delete(session);
        session.partition.tail.release(session.userScope);
      }
      queue.drop(session);
      outcomes.forgetClosed(session);
    },
  });
  const replayer = createReplayer({
    highWaterBytes: config.SOCKET_MAX_BUFFERED_BYTES / 4,
    maxCount: config.REPLAY_MAX_COUNT,
    nowMs,
    again: turn.addReplay,
    close: sessions.close,
    cut: sessions.cut,
  });

  const limit = createMessageLimit({
    burstCount: config.MESSAGE_BURST_COUNT,
    burstMs: config.MESSAGE_BURST_MS,
    sustainedPerMinuteCount: config.MESSAGE_SUSTAINED_COUNT,
  });
  const outcomes = createOutcomes({ limit, stats, sendSoon: sessions.sendSoon, nowMs });
  const asker = createOutcomeAsker({ nats, outcomes, nowMs });
  const publisher = createWindowedPublisher({
    nc: nats.nc,
    inboxPrefix: deps.inboxPrefix,
    maxInFlight: config.PUBLISH_WINDOW_COUNT,
    timeoutMs: PUBLISH_TIMEOUT_MS,
  });
  const queue = createCommandQueue({
    publisher,
    outcomes,
    maxQueuedBytes: config.COMMAND_QUEUE_MAX_BYTES,
    maxInFlight: config.PUBLISH_WINDOW_COUNT,
    sendWithNext: sessions.sendWithNext,
    onRepeat: asker.look,
    isHeld: (partition) => guard.isHeld(partition),
    nowMs,
    log,
  });
  const guard = createStoreGuard({
    nats,
    partitions,
    close: sessions.close,
    onOpen: queue.resume,
    log,
  });
  const commands = createCommandEntry({
    queue,
    limit,
    violators,
    stats,
    inFlightMaxCount: config.IN_FLIGHT_MAX_COUNT,
    sendSoon: sessions.sendSoon,
    nowMs,
    tracer,
  });

  const positions = createMembersPositions({ nats, namePrefix, log });
  const hello = createHello({
    tokens: deps.tokens,
    loadMembership: createLoadMembership({ nats, positions }),
    streamReplay: createStreamReplay({
      nats: deps.replayNats,
      maxConcurrency: config.STREAM_REPLAY_MAX_CONCURRENCY,
      maxCount: config.REPLAY_MAX_COUNT,
      maxBytes: config.REPLAY_MAX_BYTES,
      log,
      nowMs,
    }),
    replayer,
    sessions,
    replayMaxCount: config.REPLAY_MAX_COUNT,
    heartbeatMs: config.HEARTBEAT_MS,
    limitsOf: (userId) => ({
      frameMaxBytes: FRAME_MAX_BYTES,
      textMaxBytes: TEXT_MAX_BYTES,
      inFlightMaxCount: config.IN_FLIGHT_MAX_COUNT,
      messages: limit.status(userId, nowMs()),
    }),
    stats,
    log,
    nowMs,
    onJoined: (session) => {
      session.isRegistered = true;
      registry.joined(session.teamId, session.userId);
      frames.takeEarly(session);
    },
  });
  const ephemeral = createEphemeral({
    nats,
    partitions,
    publish: (topic, frame) => server.publish(topic, frame),
    requestFlush: turn.request,
    send: sessions.sendSoon,
    nowMs,
  });
  const frames = createFrameEntry({
    sessions,
    hello,
    commands,
    ephemeral,
    tokens: deps.tokens,
    stats,
    log,
  });

  const refusalOf = (teamId: string, origin: string): ErrorCode | undefined => {
    const team = parseTeamId(teamId);
    if (isRefusing) return 'DRAINING';
    if (origin !== '' && !isOriginAllowed(config.ALLOWED_ORIGINS, origin)) return 'ORIGIN_NOT_ALLOWED';
    if (!team || partitionOf(team) >= partitions.length) return 'TEAM_NOT_FOUND';
    if (sessions.all.size < config.SESSIONS_MAX_COUNT) return undefined;
    violators.refusals.add('sockets');
    return 'OVERLOADED';
  };

  const refuse = (teamId: string, origin: string): ErrorCode | undefined => {
    const code = refusalOf(teamId, origin);
    if (code) stats.refusals.add(code);
    return code;
  };

  const server: UwsServer = createUwsServer<Session>({
    host: config.WS_HOST,
    port: config.WS_PORT,
    maxPayloadBytes: UWS_PAYLOAD_MAX_BYTES,
    maxBackpressureBytes: config.SOCKET_MAX_BUFFERED_BYTES,
    idleTimeoutSeconds: IDLE_TIMEOUT_SECONDS,
    refuse,
    handler: {
      onOpen: (socket, info) => {
        const teamId = parseTeamId(info.teamId);
        const partition = teamId && partitions[partitionOf(teamId)];
        if (!teamId || !partition) throw new Error('an upgrade was admitted that `refuse` refuses');
        const session = new Session(randomUUID(), socket, teamId, partition, info.bearer, nowMs());
        sessions.add(session);
        return session;
      },
      onMessage: frames.onMessage,
      onDropped: (session, bytes) => {
        stats.deliveryErrorCount += 1;
        replayer.noteDropped(session, bytes);
      },
      onDrain: (session) => {
        if (session.state === 'replaying') turn.addReplay(session);
        if (session.outbox.length > 0) turn.addOutbox(session);
      },
      onClose: sessions.gone,
    },
  });

  const fanout = createFanout({
    publish: server.publish,
    // While the tail is being filled nobody waits, and what was said long ago is no use of a limit.
    observe: (partition, seq, data) => {
      if (traces !== undefined) traces.flushed(partition, seq);
      if (partition.isFollowing) outcomes.observe(seq, partition.tail.scopeOf(seq).subject, data);
    },
    applyUserEvent: createUserEvents({ replayer, close: sessions.close }).applyUserEvent,
    leaveDropped: replayer.leaveDropped,
    handedOver: outcomes.handedOver,
    stats,
    nowMs,
  });
  const feeds = partitions.map((partition) =>
    createPartitionFeed({
      partition,
      nats,
      namePrefix,
      fillCount: config.TAIL_FILL_COUNT,
      behindMaxMs: config.BEHIND_MAX_MS,
      log,
      nowMs,
      onEvents,
      closeSessions: sessions.closePartition,
      traces,
    }),
  );
  const heartbeat = createHeartbeat({
    sessions,
    replayer,
    asker,
    heartbeatMs: config.HEARTBEAT_MS,
    slowConsumerMaxMs: config.SLOW_CONSUMER_MAX_MS,
    nowMs,
  });
  const drain = createDrain({
    sessions,
    graceMs: config.DRAIN_GRACE_MS,
    random: Math.random,
    nowMs,
    log,
  });

  const drainRequests = createDrainRequests({
    nats,
    instance: config.INSTANCE_ID,
    socketCount: () => sessions.all.size,
    drainOver: (spreadMs) => {
      isRefusing = true;
      return drain.drainOver(spreadMs);
    },
    log,
  });
  const registry = createRegistry({
    nats,
    instance: config.INSTANCE_ID,
    heartbeatMs: config.REGISTRY_HEARTBEAT_MS,
    replicas: config.STREAM_REPLICAS,
    socketCount: () => sessions.all.size,
    isDraining: () => isRefusing,
    nowMs,
    log,
  });
  publishGatewayMetrics(deps.metrics, stats, {
    sessions: sessions.all,
    partitions,
    violators,
    inFlightCount: () => outcomes.size,
    queuedBytes: queue.queuedBytes,
    registryCount: () => registry.userCount,
    isDraining: () => isRefusing,
    nowMs,
  });

  const feedsCheck = (): CheckResult => {
    for (const feed of feeds) {
      const result = feed.check();
      if (!result.ok) return result;
    }
    return { ok: true };
  };

  return {
    checks: {
      nats: nats.status,
      feed: feedsCheck,
      drain: () => (isRefusing ? { ok: false, reason: 'its clients are being sent away' } : { ok: true }),
    },
    port: () => listeningPort,
    sessionCount: () => sessions.all.size,
    start: onceAsync(async () => {
      listeningPort = await server.start();
      guard.start();
      for (const feed of feeds) feed.start();
      await positions.start();
      ephemeral.start();
      heartbeat.start();
      registry.start();
      drainRequests.start();
      log.info({ port: listeningPort, partitions: partitions.length }, 'listening');
    }),
    drain: async (deadlineMs) => {
      isRefusing = true;
      server.stopListening();
      await drain.drain(deadlineMs);
    },
    stop: onceAsync(async () => {
      isRefusing = true;
      heartbeat.stop();
      drain.stop();
      drainRequests.stop();
      turn.stop();
      ephemeral.stop();
      server.stopListening();
      for (const session of [...sessions.all]) sessions.close(session, closeCodes.DRAINING, 'stopping');
      guard.stop();
      queue.stop();
      publisher.close();
      await Promise.all([positions.stop(), registry.stop(), ...feeds.map((feed) => feed.stop())]);
      server.stop();
    }),
  };
};

const isOriginAllowed = (allowed: readonly string[], origin: string): boolean =>
  allowed.includes('*') || allowed.includes(origin);
