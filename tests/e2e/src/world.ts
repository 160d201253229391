/**
 * A whole system for one test file: own servers, own processes, one team. Everything the tests ask of it goes over
 * the wire (WebSocket, HTTP) or reads the evidence (PostgreSQL, streams); nothing reaches into an app.
 */

import { randomUUID } from 'node:crypto';
import type { CommandName } from '@chat/contracts/commands';
import type { CreateTeamResponse } from '@chat/contracts/http';
import {
  type ChannelId,
  type TeamId,
  type UserId,
  channelIdOf,
  parseCommandId,
  parseTeamId,
  parseUserId,
  partitionOf,
} from '@chat/contracts/ids';
import { cmdStream, evtStream } from '@chat/contracts/streams';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import { afterEach } from 'vitest';
import { type ApiClient, createApiClient } from '@chat/testkit/checking/api-client';
import { type NatsAccess, query, readCommands, streamInfo } from '@chat/testkit/checking/collect';
import { eventually } from '@chat/testkit/checking/eventually';
import type { CommandRow } from '@chat/testkit/checking/history';
import { type DeviceOptions, type WireDevice, startWireDevice } from '@chat/testkit/checking/wire-device';
import { type WireOptions, type WireSession, openWire } from '@chat/testkit/checking/wire-session';

export type World = {
  readonly stack: ChatStack;
  readonly teamId: TeamId;
  readonly partition: number;
  readonly databaseUrl: string;
  readonly nats: NatsAccess;
  readonly apiUrl: string;
  readonly gatewayUrls: readonly string[];
  token(userId: UserId): Promise<string>;
  api(userId: UserId): Promise<ApiClient>;
  /** A socket of the user at gateway 0 or 1, welcomed. */
  wire(userId: UserId, gateway: number, options?: Partial<WireOptions>): Promise<WireSession>;
  device(userId: UserId, options?: Partial<DeviceOptions> & { readonly firstGateway?: number }): WireDevice;
  /** A channel made by `owner`, with `members` added. */
  channel(
    kind: 'public' | 'private',
    name: string,
    owner: UserId,
    members: readonly UserId[],
  ): Promise<ChannelId>;
  /** Waits until all that was accepted is decided, relayed and projected; answers the last seq of the log. */
  quiet(timeoutMs?: number): Promise<number>;
  commands(): Promise<readonly CommandRow[]>;
  [Symbol.asyncDispose](): Promise<void>;
};

export type WorldOptions = {
  /** The first is the owner of the team; the others are members. */
  readonly users: readonly UserId[];
  /** Restart what dies, as a platform would. */
  readonly supervise?: boolean;
  /** Default 1. */
  readonly writers?: number;
  /** Default 1. */
  readonly projectors?: number;
  /** Default `postgres`. */
  readonly readStore?: 'postgres' | 'mongodb';
};

export const user = (name: string): UserId => {
  const parsed = parseUserId(name);
  if (!parsed) throw new Error(`${name} is no user id`);
  return parsed;
};

/** Sends one command over HTTP, again under the same id while the system is coming up. */
const settle = async (
  api: ApiClient,
  name: CommandName,
  data: unknown,
  id = randomUUID(),
): Promise<string> => {
  await eventually(`${name} is persisted`, async () => {
    const { status, body } = await api.command(name, data, id);
    if (status === 200 || status === 201) return true;
    throw new Error(`${name}: ${status} ${JSON.stringify(body)}`);
  });
  return id;
};

const createTeam = async (api: ApiClient): Promise<TeamId> => {
  const id = randomUUID();
  return eventually('the team is made', async () => {
    const { status, body } = await api.post<CreateTeamResponse>('/api/v1/teams', { id, name: 'e2e' });
    if (status === 200 || status === 201) return parseTeamId(body.teamId);
    throw new Error(`team: ${status} ${JSON.stringify(body)}`);
  });
};

const PARTITION_COUNT = 2;

/** Limits of people, raised: these tests write as no person does. Idle cursors move each second, so that waits are short. */
const environment = {
  gateway: {
    MESSAGE_BURST_COUNT: '1000000',
    MESSAGE_SUSTAINED_COUNT: '1000000',
    HEARTBEAT_MS: '1000',
    DRAIN_GRACE_MS: '500',
  },
  api: { MESSAGE_BURST_COUNT: '1000000', MESSAGE_SUSTAINED_COUNT: '1000000' },
} as const;

/** Prints the last lines of every process when a test of the file fails. */
export const explainFailures = (world: () => World | undefined): void => {
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${world()?.stack.tails() ?? ''}\n`);
  });
};

type PartitionRow = { readonly next_id: string; readonly cmd_seq: string; readonly halted: string | null };

/** Starts the stack, the team and its members; everything is ready when it resolves. */
export const startWorld = async (options: WorldOptions): Promise<World> => {
  const stack = await startChatStack({
    gateways: 2,
    writers: options.writers ?? 1,
    projectors: options.projectors ?? 1,
    apis: 1,
    partitions: PARTITION_COUNT,
    supervise: options.supervise ?? false,
    readStore: options.readStore ?? 'postgres',
    env: environment,
  });
  try {
    return await populate(stack, options);
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
};

const populate = async (stack: ChatStack, { users }: WorldOptions): Promise<World> => {
  const [owner, ...others] = users;
  if (!owner) throw new Error('a team needs an owner');
  const { databaseUrl, apiUrl, gatewayUrls } = stack;
  const token = async (userId: UserId) => stack.mintToken(userId);
  const noTeam = '' as TeamId;
  const teamId = await createTeam(createApiClient({ apiUrl, teamId: noTeam, token: await token(owner) }));
  const partition = partitionOf(teamId);
  const nats: NatsAccess = { url: stack.nats.url, ...stack.nats.credentials.ops };
  const api = async (userId: UserId) => createApiClient({ apiUrl, teamId, token: await token(userId) });
  const ownerApi = await api(owner);
  for (const userId of others) await settle(ownerApi, 'member.add', { userId });

  const wire: World['wire'] = async (userId, gateway, over = {}) => {
    const gatewayUrl = gatewayUrls[gateway] ?? '';
    const session = await openWire({ gatewayUrl, teamId, token: await token(userId), ...over });
    try {
      await session.welcome();
      return session;
    } catch (error) {
      session.terminate();
      throw error;
    }
  };

  const channel: World['channel'] = async (kind, name, creator, members) => {
    const creatorApi = await api(creator);
    const id = parseCommandId(await settle(creatorApi, 'channel.create', { kind, name }));
    if (!id) throw new Error('no channel id');
    const channelId = channelIdOf(id);
    for (const userId of members) await settle(creatorApi, 'member.add', { userId, channelId });
    return channelId;
  };

  const quiet: World['quiet'] = (timeoutMs = 20_000) =>
    eventually(
      'all that was accepted is decided, relayed and projected',
      async () => {
        const [row] = await query<PartitionRow>(
          databaseUrl,
          'SELECT next_id, cmd_seq, halted FROM partition WHERE p = $1',
          [partition],
        );
        const cmd = await streamInfo(nats, cmdStream(partition));
        const evt = await streamInfo(nats, evtStream(partition));
        const lastSeq = Number(row?.next_id) - 1;
        const state = `log ${lastSeq}, decided ${row?.cmd_seq} of ${cmd.lastSeq}, EVT ${evt.lastSeq}`;
        if (Number(row?.cmd_seq) < cmd.lastSeq || evt.lastSeq !== lastSeq) throw new Error(state);
        const { status, body } = await ownerApi.channels(`&minSeq=${lastSeq}`);
        if (status !== 200) throw new Error(`${state}, api ${status} ${body.code}`);
        return lastSeq;
      },
      { timeoutMs },
    );

  return {
    stack,
    teamId,
    partition,
    databaseUrl,
    nats,
    apiUrl,
    gatewayUrls,
    token,
    api,
    wire,
    device: (userId, over = {}) => {
      const first = over.firstGateway ?? 0;
      return startWireDevice({
        gatewayUrls: [...gatewayUrls.slice(first), ...gatewayUrls.slice(0, first)],
        teamId,
        userId,
        token: () => token(userId),
        ...over,
      });
    },
    channel,
    quiet,
    commands: () => readCommands(databaseUrl, teamId),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
};
