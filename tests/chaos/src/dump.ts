/** Gathers, when all is quiet, what the round left in PostgreSQL, in the streams and in the read model. */

import type { ErrorBody } from '@chat/contracts/errors';
import type { ChannelsResponse, MessagesResponse, MessageView } from '@chat/contracts/http';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import { cmdStream, evtStream } from '@chat/contracts/streams';
import {
  type NatsAccess,
  query,
  readCommands,
  readLog,
  readStream,
  streamInfo,
} from '@chat/testkit/checking/collect';
import { eventually } from '@chat/testkit/checking/eventually';
import type { ApiHistory, ChannelList } from '@chat/testkit/checking/history';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import { files, writeRows } from './run-folder.ts';
import type { ApiCaller } from './workload/api-caller.ts';
import { type RoundTeam, membersOf } from './workload/teams.ts';

type PartitionRow = { readonly next_id: string; readonly cmd_seq: string; readonly halted: string | null };
const PAGE_COUNT = 200;

export const natsAccess = (stack: ChatStack): NatsAccess => ({
  url: stack.nats.url,
  ...stack.nats.credentials.ops,
});

const partitionRow = async (stack: ChatStack, partition: number): Promise<PartitionRow> => {
  const sql = 'SELECT next_id, cmd_seq, halted FROM partition WHERE p = $1';
  const [row] = await query<PartitionRow>(stack.databaseUrl, sql, [partition]);
  if (!row) throw new Error(`no partition ${partition}`);
  return row;
};

export const lastSeqOf = async (stack: ChatStack, partition: number): Promise<number> =>
  Number((await partitionRow(stack, partition)).next_id) - 1;

/** All that was accepted is decided, relayed and projected; answers the last seq. */
export const quiet = (
  stack: ChatStack,
  call: ApiCaller,
  team: RoundTeam,
  timeoutMs: number,
): Promise<number> =>
  eventually(
    `partition ${team.partition} is quiet`,
    async () => {
      const row = await partitionRow(stack, team.partition);
      const cmd = await streamInfo(natsAccess(stack), cmdStream(team.partition));
      const evt = await streamInfo(natsAccess(stack), evtStream(team.partition));
      const lastSeq = Number(row.next_id) - 1;
      const state = `log ${lastSeq}, decided ${row.cmd_seq} of ${cmd.lastSeq}, EVT ${evt.lastSeq}, halted ${row.halted}`;
      if (Number(row.cmd_seq) < cmd.lastSeq || evt.lastSeq !== lastSeq) throw new Error(state);
      const path = `/api/v1/channels?teamId=${team.teamId}&minSeq=${lastSeq}`;
      const answer = await call<ErrorBody>(team.owner, 'GET', path);
      if (answer.status !== 200) throw new Error(`${state}, api ${answer.status} ${answer.body?.code}`);
      return lastSeq;
    },
    { timeoutMs, everyMs: 100 },
  );

/** The same question until it is answered: a read that is refused for the moment is no evidence. */
const ask = <T>(call: ApiCaller, userId: UserId, path: string): Promise<T | undefined> =>
  eventually(
    path,
    async () => {
      const answer = await call<T>(userId, 'GET', path);
      if (answer.status === 200) return { body: answer.body as T | undefined };
      if (answer.status === 404) return { body: undefined };
      throw new Error(`${answer.status}`);
    },
    { timeoutMs: 20_000, everyMs: 200 },
  ).then(({ body }) => body);

const historyOf = async (
  call: ApiCaller,
  team: RoundTeam,
  userId: UserId,
  channelId: ChannelId,
  minSeq: number,
): Promise<ApiHistory> => {
  const messages: MessageView[] = [];
  for (;;) {
    const after = messages.at(-1)?.channelSeq ?? 0;
    const path = `/api/v1/channels/${channelId}/messages?teamId=${team.teamId}&after=${after}&limit=${PAGE_COUNT}&minSeq=${minSeq}`;
    const page = await ask<MessagesResponse>(call, userId, path);
    messages.push(...(page?.messages ?? []));
    if (!page?.hasMoreAfter || page.messages.length === 0) return { userId, channelId, messages };
  }
};

/** Of every channel: what each of its regulars reads, what one who may be out of it reads, and everyone's unread counts. */
const readTeam = async (call: ApiCaller, team: RoundTeam, minSeq: number) => {
  const api: ApiHistory[] = [];
  const lists: ChannelList[] = [];
  const readers: readonly (readonly [UserId | undefined, ChannelId])[] = [
    [team.owner, team.open],
    [team.library[0], team.room],
    [team.library[1], team.churn],
    [team.library[2], team.lobby],
    [team.http[1], team.room], // never in it
    ...team.churners.map((userId) => [userId, team.churn] as const),
    ...team.strollers.map((userId) => [userId, team.lobby] as const),
  ];
  for (const [userId, channelId] of readers) {
    if (userId) api.push(await historyOf(call, team, userId, channelId, minSeq));
  }
  for (const userId of membersOf(team)) {
    const path = `/api/v1/channels?teamId=${team.teamId}&minSeq=${minSeq}`;
    const list = await ask<ChannelsResponse>(call, userId, path);
    if (list) lists.push({ userId, channels: list.channels });
  }
  return { api, lists };
};

/** The system is quiet, yet a server that was just healed may still refuse a question, e.g. while its stream elects a leader. */
const READ_PATIENCE = { timeoutMs: 30_000, everyMs: 500 } as const;

export const dumpRound = async (options: {
  readonly folder: string;
  readonly stack: ChatStack;
  readonly call: ApiCaller;
  readonly teams: readonly { readonly team: RoundTeam; readonly lastSeq: number }[];
  readonly afterSeq: Readonly<Record<string, number>>;
}): Promise<void> => {
  const { folder, stack, call, teams, afterSeq } = options;
  const log = [];
  const stream = [];
  const commands = [];
  const api = [];
  const lists = [];
  // What cannot be read is a problem of the round, told beside whatever was read.
  for (const file of [files.log, files.stream, files.commands, files.api, files.lists, files.poison]) {
    await writeRows(folder, file, []);
  }
  const read = <T>(what: string, probe: () => Promise<T>): Promise<T> =>
    eventually(`reading ${what}`, async () => ({ rows: await probe() }), READ_PATIENCE).then(
      ({ rows }) => rows,
    );
  for (const partition of new Set(teams.map(({ team }) => team.partition))) {
    const after = afterSeq[String(partition)] ?? 0;
    log.push(...(await read('event_log', () => readLog(stack.databaseUrl, partition, after))));
    stream.push(...(await read('EVT', () => readStream(natsAccess(stack), partition, after))));
  }
  for (const { team, lastSeq } of teams) {
    commands.push(...(await read('commands', () => readCommands(stack.databaseUrl, team.teamId))));
    const seen = await readTeam(call, team, lastSeq);
    api.push(...seen.api.map((one) => ({ teamId: team.teamId, ...one })));
    lists.push(...seen.lists.map((one) => ({ teamId: team.teamId, ...one })));
  }
  await writeRows(folder, files.log, log);
  await writeRows(folder, files.stream, stream);
  await writeRows(folder, files.commands, commands);
  await writeRows(folder, files.api, api);
  await writeRows(folder, files.lists, lists);
  await writeRows(folder, files.poison, await query(stack.databaseUrl, 'SELECT * FROM poison'));
};
