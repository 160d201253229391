/**
 * A gateway on a real nats-server, in which the test itself plays writer (appends events with the writer's rights) and
 * projector (writes MEMBERS). Nothing is mocked; only the other two processes are played.
 */

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandEnvelope } from '@chat/contracts/commands';
import {
  type EventData,
  type EventType,
  type MembershipView,
  encodeEvent,
  eventVersions,
} from '@chat/contracts/events';
import {
  type ChannelId,
  type CommandId,
  type TeamId,
  type UserId,
  makeTeamId,
  partitionOf,
} from '@chat/contracts/ids';
import { cmdStream, evtStream } from '@chat/contracts/streams';
import {
  type Scope,
  channelScope,
  evtSubject,
  mbrPositionSubject,
  mbrSubject,
  teamScope,
  userScope,
} from '@chat/contracts/subjects';
import { type DevIssuer, createDevIssuer } from '@chat/platform/auth/dev-issuer';
import { createTokenVerifier } from '@chat/platform/auth/tokens';
import { silentLogger, type Logger } from '@chat/platform/log';
import { createMetrics } from '@chat/platform/metrics';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { ensureCmdStream, ensureEvtStream, ensureMembersStream } from '@chat/platform/nats/streams';
import type { NatsRole, NatsServer } from '@chat/testkit/servers/nats-server';
import { testNats } from '@chat/testkit/servers/servers';
import { type GatewayConfig, readGatewayConfig } from '../config.ts';
import { type Gateway, createGateway } from '../gateway.ts';
import { sumOf } from './exposition.ts';
import { type WireClient, openWire } from './wire-client.ts';

export const EPOCH = 'epoch-1';

export type EventOptions = {
  readonly channelId?: ChannelId;
  readonly channelSeq?: number;
  readonly commandId?: CommandId;
  readonly hash?: string;
  readonly actor?: UserId;
};

export const user = (name: string): UserId => name as UserId;
export const newChannelId = (): ChannelId => randomUUID() as ChannelId;
export const newCommandId = (): CommandId => randomUUID() as CommandId;
export const newTeamId = (partition = 0): TeamId => {
  const entropy = new Uint8Array(9);
  crypto.getRandomValues(entropy);
  return makeTeamId(partition, entropy);
};

export type World = {
  readonly nats: NatsServer;
  readonly writer: NatsHandle;
  readonly issuer: DevIssuer;
  /** The last sequence of a partition. */
  lastSeq(partition?: number): number;
  /** Appends an event; resolves with its seq once the stream has it. */
  append<T extends EventType>(
    team: TeamId,
    scope: Scope,
    type: T,
    data: EventData[T],
    options?: EventOptions,
  ): Promise<number>;
  /** Like `append`, but does not wait: for floods. `settle` waits for all. */
  appendSoon<T extends EventType>(
    team: TeamId,
    scope: Scope,
    type: T,
    data: EventData[T],
    options?: EventOptions,
  ): number;
  settle(): Promise<void>;
  /** team.created and the team membership of each user. */
  makeTeam(team: TeamId, ...users: UserId[]): Promise<void>;
  /** The two events of a membership change; answers the seq of the first. */
  addMember(team: TeamId, channelId: ChannelId, userId: UserId): Promise<number>;
  removeMember(team: TeamId, channelId: ChannelId, userId: UserId): Promise<number>;
  say(team: TeamId, channelId: ChannelId, text: string, options?: EventOptions): Promise<number>;
  putView(team: TeamId, userId: UserId, view: MembershipView): Promise<void>;
  putPosition(asOf: number, partition?: number, epoch?: string): Promise<void>;
  /** Makes the stream anew, as a writer does after a loss. */
  recreateEvt(partition: number, epoch: string, firstSeq: number): Promise<void>;
  setLastSeq(partition: number, seq: number): void;
  /** Calls back for each command in CMD, in order. */
  onCommand(fn: (envelope: CommandEnvelope, cmdSeq: number, team: TeamId) => void): Promise<void>;
  connect(role: NatsRole, inboxPrefix?: string): Promise<NatsHandle>;
  startGateway(env?: Record<string, string>, options?: GatewayOptions): Promise<GatewayUnderTest>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** `clock.aheadMs` may be changed while the gateway runs: its clock is stepped. */
export type GatewayOptions = { readonly clock?: { aheadMs: number } };

export type GatewayUnderTest = {
  readonly gateway: Gateway;
  readonly config: GatewayConfig;
  /** Sums the samples of a metric whose labels are these; 0 when there is none. */
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  scrape(): Promise<string>;
  /** Cuts it off from NATS for good, as far as NATS can see a kill -9. */
  breakNats(): void;
  readonly url: string;
  isReady(): boolean;
  untilReady(): Promise<void>;
  open(
    team: TeamId | string,
    options?: { origin?: string; bearer?: string; protocol?: string },
  ): Promise<WireClient>;
  /** Opens and says hello. */
  join(team: TeamId, userId: UserId, cursor?: { epoch: string; seq: number }): Promise<WireClient>;
  stop(): Promise<void>;
};

/** Asks again until it is true; fails with what it was waiting for. */
export const until = async (
  what: string,
  probe: () => boolean | Promise<boolean>,
  ms = 10_000,
): Promise<void> => {
  const end = Date.now() + ms;
  for (;;) {
    if (await probe()) return;
    if (Date.now() > end) throw new Error(`waited ${ms} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

export const createWorld = async (partitions = 1): Promise<World> => {
  const nats = await testNats();
  const dir = await mkdtemp(join(tmpdir(), 'chat-gateway-test-'));
  const issuer = await createDevIssuer({
    keyFile: join(dir, 'key.json'),
    jwksFile: join(dir, 'jwks.json'),
    audience: 'chat',
  });
  const handles: NatsHandle[] = [];
  const gateways: GatewayUnderTest[] = [];
  const log: Logger = silentLogger();
  const lastSeqs = new Map<number, number>();
  let settling: Promise<unknown>[] = [];

  const connect = async (role: NatsRole, inboxPrefix = `_INBOX_${role}`): Promise<NatsHandle> => {
    const { user: name, password } = nats.credentials[role];
    const handle = await connectNats({
      servers: [nats.url],
      user: name,
      password,
      name: `test ${role}`,
      inboxPrefix,
      log,
    });
    handles.push(handle);
    return handle;
  };

  const writer = await connect('writer');
  const projector = await connect('projector');
  for (let p = 0; p < partitions; p += 1) {
    await ensureEvtStream(writer.jsm, p, { epoch: EPOCH });
    await ensureCmdStream(writer.jsm, p);
    lastSeqs.set(p, 0);
  }
  await ensureMembersStream(projector.jsm);

  const appendSoon: World['appendSoon'] = (team, scope, type, data, options = {}) => {
    const partition = partitionOf(team);
    const seq = (lastSeqs.get(partition) ?? 0) + 1;
    lastSeqs.set(partition, seq);
    const bytes = encodeEvent(
      seq,
      type,
      eventVersions[type],
      Date.now(),
      options.channelId,
      options.channelSeq,
      options.commandId ?? newCommandId(),
      options.hash ?? 'hash000000000000',
      options.actor ?? user('somebody'),
      JSON.stringify(data),
    );
    settling.push(writer.js.publish(evtSubject(team, scope), bytes, { expect: { lastSequence: seq - 1 } }));
    return seq;
  };

  const settle = async (): Promise<void> => {
    const due = settling;
    settling = [];
    await Promise.all(due);
  };

  const append: World['append'] = async (team, scope, type, data, options) => {
    const seq = appendSoon(team, scope, type, data, options);
    await settle();
    return seq;
  };

  const world: World = {
    nats,
    writer,
    issuer,
    lastSeq: (partition = 0) => lastSeqs.get(partition) ?? 0,
    setLastSeq: (partition, seq) => void lastSeqs.set(partition, seq),
    append,
    appendSoon,
    settle,
    connect,
    makeTeam: async (team, ...users) => {
      appendSoon(team, teamScope, 'team.created', { name: 'team' });
      for (const userId of users) {
        const data = { userId, role: 'member', teamName: 'team' } as const;
        appendSoon(team, userScope(userId), 'team.member_added', data);
        appendSoon(team, teamScope, 'team.member_added', data);
      }
      await settle();
    },
    addMember: async (team, channelId, userId) => {
      const data = { userId, role: 'member', kind: 'public', name: 'c' } as const;
      const seq = appendSoon(team, userScope(userId), 'member.added', data, { channelId });
      appendSoon(team, channelScope(channelId), 'member.added', data, { channelId });
      await settle();
      return seq;
    },
    removeMember: async (team, channelId, userId) => {
      const data = { userId, reason: 'removed' } as const;
      const seq = appendSoon(team, userScope(userId), 'member.removed', data, { channelId });
      appendSoon(team, channelScope(channelId), 'member.removed', data, { channelId });
      await settle();
      return seq;
    },
    say: (team, channelId, text, options) =>
      append(
        team,
        channelScope(channelId),
        'message.sent',
        { text },
        { channelSeq: 1, ...options, channelId },
      ),
    putView: async (team, userId, view) => {
      await projector.js.publish(mbrSubject(team, userId), JSON.stringify(view));
    },
    putPosition: async (asOf, partition = 0, epoch = EPOCH) => {
      await projector.js.publish(mbrPositionSubject(partition), JSON.stringify({ asOf, epoch }));
    },
    recreateEvt: async (partition, epoch, firstSeq) => {
      await writer.jsm.streams.delete(evtStream(partition));
      await ensureEvtStream(writer.jsm, partition, { epoch, firstSeq });
      lastSeqs.set(partition, firstSeq - 1);
    },
    onCommand: async (fn) => {
      for (let p = 0; p < partitions; p += 1) {
        const consumer = await writer.js.consumers.getPushConsumer(cmdStream(p), { name_prefix: 'test' });
        await consumer.consume({
          callback: (msg) => fn(msg.json<CommandEnvelope>(), msg.seq, msg.subject.split('.')[2] as TeamId),
        });
      }
    },
    startGateway: async (env = {}, options = {}) => {
      const gateway = await startGateway(world, dir, partitions, env, options, log);
      gateways.push(gateway);
      return gateway;
    },
    [Symbol.asyncDispose]: async () => {
      for (const gateway of gateways) await gateway.stop();
      await Promise.all(handles.map((handle) => handle.close()));
      await nats[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return world;
};

const startGateway = async (
  world: World,
  dir: string,
  partitions: number,
  env: Record<string, string>,
  options: GatewayOptions,
  log: Logger,
): Promise<GatewayUnderTest> => {
  const config: GatewayConfig = readGatewayConfig({
    CHAT_ENV: 'test',
    INSTANCE_ID: `t${randomUUID().slice(0, 8)}`,
    NATS_URL: world.nats.url,
    PARTITIONS: String(partitions),
    WS_PORT: '0',
    DEV_JWT_JWKS: join(dir, 'jwks.json'),
    ALLOWED_ORIGINS: 'http://good.example',
    MESSAGE_BURST_COUNT: '1000000',
    MESSAGE_SUSTAINED_COUNT: '1000000',
    ...env,
  });
  const nats = await world.connect('gateway');
  const replayNats = await world.connect('gateway');
  const tokens = createTokenVerifier({
    issuers: [{ issuer: world.issuer.issuer, audience: 'chat', jwks: join(dir, 'jwks.json') }],
  });
  const metrics = createMetrics();
  const gateway = createGateway({
    config,
    nats,
    replayNats,
    inboxPrefix: '_INBOX_gateway',
    tokens,
    metrics,
    log,
    nowMs: () => Date.now() + (options.clock?.aheadMs ?? 0),
  });
  await gateway.start();
  const url = `ws://127.0.0.1:${gateway.port()}`;
  const clients: WireClient[] = [];
  const open: GatewayUnderTest['open'] = async (team, options = {}) => {
    const client = await openWire(`${url}/ws/${team}`, options);
    clients.push(client);
    return client;
  };
  const isReady = (): boolean => Object.values(gateway.checks).every((check) => check().ok);
  const untilReady = (): Promise<void> => until('the gateway is ready', isReady);
  if (env['EXPECT_READY'] !== 'no') await untilReady();
  return {
    gateway,
    config,
    scrape: () => metrics.registry.metrics(),
    breakNats: () => void nats.close(),
    metric: async (name, labels = {}) => sumOf(await metrics.registry.metrics(), name, labels),
    url,
    isReady,
    untilReady,
    open,
    join: async (team, userId, cursor) => {
      const client = await open(team);
      client.send({ t: 'hello', token: await world.issuer.mint(userId), ...(cursor ? { cursor } : {}) });
      return client;
    },
    stop: async () => {
      for (const client of clients) client.terminate();
      await gateway.stop();
    },
  };
};
