/**
 * The load of a round: two teams of sixteen clients each (library, raw sockets, HTTP), who send, repeat, read, mark,
 * join, leave and reconnect by a seeded plan, while an owner puts people in and out of a private channel.
 *
 * Operations fall due by the clock, not by the timer: a late tick makes up for what it missed, up to a bound.
 */

import type { ErrorBody } from '@chat/contracts/errors';
import type { MessagesResponse } from '@chat/contracts/http';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import { createRandom, pick } from '../random.ts';
import type { Recorder } from '../recorder.ts';
import type { WorkloadHandle } from '../nemesis.ts';
import { type ApiCaller, createApiCaller, delayMs } from './api-caller.ts';
import type { Known, LoadClient } from './client.ts';
import { createHttpClient } from './http-client.ts';
import { createLibraryClient } from './library-client.ts';
import { createRawClient } from './raw-client.ts';
import { type RoundTeam, channelsOf, createRoundTeam, membersOf, sendCommand } from './teams.ts';

export type Workload = WorkloadHandle & {
  readonly roundTeams: readonly RoundTeam[];
  readonly clients: readonly LoadClient[];
  readonly call: ApiCaller;
  /** No new operations; what is under way goes on. */
  readonly quiesce: () => Promise<void>;
  /** Messages without outcome. */
  readonly pendingCount: () => number;
  readonly stop: () => Promise<void>;
};

export type WorkloadOptions = {
  readonly stack: ChatStack;
  readonly recorder: Recorder;
  readonly seed: number;
  /** Messages a second, over all clients. */
  readonly rate: number;
  /** The fault may take what was only accepted: then every client keeps to the protocol and sends again until it is decided. */
  readonly mayLoseAccepted?: boolean;
};

type AnyClient = LoadClient & { readonly known: Known };
type Member = {
  readonly client: AnyClient;
  readonly team: RoundTeam;
  readonly channels: readonly ChannelId[];
};

const TEAM_COUNT = 2;
const TICK_MS = 10;
/** Operations a tick makes up for at most: half a second of them. */
const CATCH_UP_MS = 500;
const CHURN_EVERY_MS = 600;
const READ_LIMIT_COUNT = 30;
const TOKEN_TTL_S = 3_600;

/** Shares of the operations beside sends, of all operations. */
const shares = { repeat: 0.04, read: 0.03, mark: 0.04, stroll: 0.006, reconnect: 0.004 } as const;
const SEND_SHARE = 1 - Object.values(shares).reduce((sum, share) => sum + share, 0);

export const startWorkload = async (options: WorkloadOptions): Promise<Workload> => {
  const { stack, recorder } = options;
  const random = createRandom(options.seed);
  const tokens = new Map<UserId, Promise<string>>();
  const token = (userId: UserId): Promise<string> => {
    const minted = tokens.get(userId) ?? stack.mintToken(userId, { ttlSeconds: TOKEN_TTL_S });
    tokens.set(userId, minted);
    return minted;
  };
  const call = createApiCaller(stack.apiUrls, token);
  const roundTeams = await createTeams(call, stack.partitions, options.seed);
  const members = roundTeams.flatMap((team) => createClients(team, options, token, call, random));
  const clients = members.map(({ client }) => client);
  for (const client of clients) client.start();
  const load = startOperations(members, options, random, call);
  const churn = roundTeams.map((team) => startChurn(team, recorder, call));

  let quiet: Promise<void> | undefined;
  const quiesce = (): Promise<void> =>
    (quiet ??= (async () => {
      await Promise.all([load.stop(), ...churn.map((one) => one.stop())]);
    })());
  return {
    roundTeams,
    clients,
    call,
    teams: roundTeams.map((team) => ({ teamId: team.teamId, userIds: membersOf(team) })),
    reconnectAll: () => clients.filter((client) => client.reconnect?.()).length,
    quiesce,
    pendingCount: () => clients.reduce((sum, client) => sum + client.pendingCount(), 0),
    stop: async () => {
      await quiesce();
      await Promise.all(clients.map((client) => client.stop()));
    },
  };
};

const createTeams = async (call: ApiCaller, partitionCount: number, seed: number): Promise<RoundTeam[]> => {
  const teams: RoundTeam[] = [];
  for (let i = 0; i < TEAM_COUNT; i += 1) {
    const taken = new Set(teams.map(({ partition }) => partition));
    teams.push(await createRoundTeam(call, `t${i + 1}-${seed}`, taken, partitionCount));
  }
  return teams;
};

const createClients = (
  team: RoundTeam,
  { stack, recorder, mayLoseAccepted }: WorkloadOptions,
  tokenOf: (userId: UserId) => Promise<string>,
  call: ApiCaller,
  random: () => number,
): readonly Member[] => {
  const gatewaysFrom = (first: number): readonly string[] => [
    ...stack.gatewayUrls.slice(first % stack.gatewayUrls.length),
    ...stack.gatewayUrls.slice(0, first % stack.gatewayUrls.length),
  ];
  const base = (userId: UserId, name: string = userId) => ({
    name,
    teamId: team.teamId,
    userId,
    token: () => tokenOf(userId),
    recorder,
    random,
  });
  const raw = (userId: UserId, i: number, name?: string) =>
    createRawClient({
      ...base(userId, name),
      gatewayUrls: stack.gatewayUrls,
      firstGateway: i,
      trustsAccepted: i % 2 === 1 && mayLoseAccepted !== true,
    });
  const member = (client: AnyClient, isWriting = true): Member => ({
    client,
    team,
    channels: isWriting ? channelsOf(team, client.userId) : [],
  });
  return [
    ...team.library.map((userId, i) =>
      member(
        createLibraryClient({
          ...base(userId),
          gatewayUrls: gatewaysFrom(i),
          apiUrl: stack.apiUrls[i % stack.apiUrls.length] ?? '',
        }),
      ),
    ),
    ...team.raw.map((userId, i) => member(raw(userId, i))),
    // Second devices of people who have a library client: they listen only, so that a sender's order stays one lane.
    ...team.library.slice(0, 2).map((userId, i) => member(raw(userId, i, `${userId}-2`), false)),
    ...team.http.map((userId) => member(createHttpClient({ ...base(userId), call }))),
  ];
};

const startOperations = (
  members: readonly Member[],
  { rate, recorder }: WorkloadOptions,
  random: () => number,
  call: ApiCaller,
) => {
  const writers = members.filter(({ channels }) => channels.length > 0);
  const strollers = members.filter(({ client, team }) => team.strollers.includes(client.userId));
  const isIn = new Map<string, boolean>();
  const operationsPerMs = rate / SEND_SHARE / 1000;
  let reads: Promise<void>[] = [];
  let count = 0;
  let doneAtMs = performance.now();

  const read = async ({ client, team }: Member, channelId: ChannelId): Promise<void> => {
    // Who is put out and back in reads from the re-join on: what was known before it proves nothing.
    const isChurner = channelId === team.churn && team.churners.includes(client.userId);
    const minSeq = isChurner ? 0 : (client.known.get(channelId)?.seq ?? 0);
    const path = `/api/v1/channels/${channelId}/messages?teamId=${team.teamId}&limit=${READ_LIMIT_COUNT}`;
    const answer = await call<MessagesResponse & ErrorBody>(
      client.userId,
      'GET',
      minSeq > 0 ? `${path}&minSeq=${minSeq}` : path,
    );
    const line = {
      client: client.name,
      conn: 0,
      team: team.teamId,
      user: client.userId,
      op: 'read',
    } as const;
    if (answer.status !== 200) {
      recorder.write({ ...line, type: 'info', channel: channelId, code: answer.body?.code ?? 'NO_ANSWER' });
      return;
    }
    const messages = answer.body.messages.map(({ id, channelSeq, seq }) => [id, channelSeq, seq] as const);
    recorder.write({ ...line, type: 'ok', channel: channelId, seq: minSeq, messages });
  };
  const send = (): void => {
    // The one who was picked may be busy; a neighbour then sends, so that the rate is kept.
    const first = Math.floor(random() * writers.length);
    for (let i = 0; i < writers.length; i += 1) {
      const writer = writers[(first + i) % writers.length];
      if (!writer) return;
      const text = `${writer.client.name} ${count} ${'x'.repeat(count % 160)}`;
      if (writer.client.send(pick(random, writer.channels), text)) return void (count += 1);
    }
  };
  const stroll = (): void => {
    const { client, team } = pick(random, strollers);
    const wasIn = isIn.get(client.name) ?? true;
    isIn.set(client.name, !wasIn);
    client.membership?.(wasIn ? 'channel.leave' : 'channel.join', team.lobby);
  };
  const operate = (): void => {
    let dice = random();
    const isShare = (share: number): boolean => {
      if (dice < share) return true;
      dice -= share;
      return false;
    };
    const someone = pick(random, members);
    if (isShare(shares.repeat)) return void someone.client.repeat?.();
    if (isShare(shares.read)) return void reads.push(read(someone, pick(random, channelsOrOpen(someone))));
    if (isShare(shares.mark)) return someone.client.mark?.(pick(random, channelsOrOpen(someone)));
    if (isShare(shares.stroll)) return stroll();
    if (isShare(shares.reconnect)) return void someone.client.reconnect?.();
    send();
  };
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const dueCount = Math.floor(Math.min(nowMs - doneAtMs, CATCH_UP_MS) * operationsPerMs);
    if (dueCount === 0) return;
    doneAtMs = nowMs - doneAtMs > CATCH_UP_MS ? nowMs : doneAtMs + dueCount / operationsPerMs;
    for (let i = 0; i < dueCount; i += 1) operate();
    if (reads.length > 200) reads = reads.slice(-100); // the older ones have their answer or their timeout
  }, TICK_MS);
  return {
    stop: async (): Promise<void> => {
      clearInterval(timer);
      await Promise.all(reads);
    },
  };
};

const channelsOrOpen = ({ channels, team }: Member): readonly ChannelId[] =>
  channels.length > 0 ? channels : [team.open];

/** The owner takes people out of the private channel and puts them back, one after another, each until it is done. */
const startChurn = (team: RoundTeam, recorder: Recorder, call: ApiCaller) => {
  const stopping = new AbortController();
  const isIn = new Map(team.churners.map((userId) => [userId, true]));
  const run = async (): Promise<void> => {
    for (let i = 0; !stopping.signal.aborted; i += 1) {
      const userId = team.churners[i % team.churners.length];
      if (!userId) return;
      const name = isIn.get(userId) ? 'member.remove' : 'member.add';
      const line = { client: team.owner, conn: 0, team: team.teamId, user: team.owner } as const;
      recorder.write({
        ...line,
        op: 'command',
        type: 'invoke',
        channel: team.churn,
        detail: `${name} ${userId}`,
      });
      const done = await sendCommand(
        call,
        team.teamId,
        team.owner,
        name,
        { userId, channelId: team.churn },
        { signal: stopping.signal },
      ).catch(() => undefined);
      recorder.write({
        ...line,
        op: 'command',
        type: done ? 'ok' : 'info',
        channel: team.churn,
        detail: `${name} ${userId}`,
      });
      if (done) isIn.set(userId, name === 'member.add');
      await delayMs(CHURN_EVERY_MS);
    }
  };
  const running = run();
  return {
    stop: async (): Promise<void> => {
      stopping.abort();
      await running;
    },
  };
};
