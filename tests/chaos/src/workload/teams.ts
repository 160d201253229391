/** The teams of a round: made anew for each, in different partitions, with channels that people enter and leave. */

import { randomUUID } from 'node:crypto';
import type { CommandName } from '@chat/contracts/commands';
import type { ErrorBody } from '@chat/contracts/errors';
import type { CreateTeamResponse } from '@chat/contracts/http';
import {
  type ChannelId,
  type TeamId,
  type UserId,
  channelIdOf,
  parseCommandId,
  parseUserId,
  partitionOf,
} from '@chat/contracts/ids';
import { type ApiCaller, delayMs } from './api-caller.ts';

export type RoundTeam = {
  readonly teamId: TeamId;
  readonly partition: number;
  readonly owner: UserId;
  readonly library: readonly UserId[];
  readonly raw: readonly UserId[];
  readonly http: readonly UserId[];
  /** Everybody; nobody leaves. */
  readonly open: ChannelId;
  /** Private, stable. */
  readonly room: ChannelId;
  /** Private; the owner puts `churners` in and out. */
  readonly churn: ChannelId;
  readonly churners: readonly UserId[];
  /** Public; `strollers` join and leave by themselves. */
  readonly lobby: ChannelId;
  readonly strollers: readonly UserId[];
};

const LIBRARY_COUNT = 4;
const RAW_COUNT = 7;
const HTTP_COUNT = 3;
const CHURNER_COUNT = 3;
const STROLLER_COUNT = 2;
const TEAM_TRY_COUNT = 60;
const SETTLE_TIMEOUT_MS = 60_000;
const RETRY_MS = 100;

const user = (name: string): UserId => {
  const parsed = parseUserId(name);
  if (!parsed) throw new Error(`${name} is no user id`);
  return parsed;
};
const users = (prefix: string, count: number): readonly UserId[] =>
  Array.from({ length: count }, (_, i) => user(`${prefix}${i + 1}`));

/** Until it is persisted, under one id. Undefined: refused for good. Throws when the time is over. */
export const settleCommand = async (
  call: ApiCaller,
  actor: UserId,
  path: string,
  body: { readonly id: string },
  signal?: AbortSignal,
): Promise<unknown> => {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS;
  let last = 0;
  while (performance.now() < deadline && !signal?.aborted) {
    const answer = await call<ErrorBody & { readonly retryable?: boolean }>(actor, 'POST', path, body);
    if (answer.status === 200 || answer.status === 201) return answer.body;
    last = answer.status;
    // A view that has not caught up says not found; the same id is sent again.
    const isFinal = answer.status === 403 || answer.status === 409 || answer.status === 400;
    if (isFinal && !answer.body.retryable) return undefined;
    await delayMs(RETRY_MS);
  }
  if (signal?.aborted) return undefined;
  throw new Error(`${path} was not persisted within ${SETTLE_TIMEOUT_MS} ms (last status ${last})`);
};

export const sendCommand = (
  call: ApiCaller,
  teamId: TeamId,
  actor: UserId,
  name: CommandName,
  data: object,
  options: { readonly id?: string; readonly signal?: AbortSignal } = {},
): Promise<unknown> => {
  const body = { teamId, id: options.id ?? randomUUID(), name, data };
  return settleCommand(call, actor, '/api/v1/commands', body, options.signal);
};

const createTeamIn = async (
  call: ApiCaller,
  owner: UserId,
  taken: ReadonlySet<number>,
  partitionCount: number,
): Promise<TeamId> => {
  for (let i = 0; i < TEAM_TRY_COUNT; i += 1) {
    const body = { id: randomUUID(), name: 'chaos' };
    const made = (await settleCommand(call, owner, '/api/v1/teams', body)) as CreateTeamResponse | undefined;
    if (!made) continue;
    const partition = partitionOf(made.teamId);
    if (!taken.has(partition) || taken.size >= partitionCount) return made.teamId;
  }
  throw new Error('no team in another partition');
};

const createChannel = async (
  call: ApiCaller,
  teamId: TeamId,
  owner: UserId,
  kind: 'public' | 'private',
  name: string,
  members: readonly UserId[],
): Promise<ChannelId> => {
  const id = parseCommandId(randomUUID());
  if (!id) throw new Error('no id');
  await sendCommand(call, teamId, owner, 'channel.create', { kind, name }, { id });
  const channelId = channelIdOf(id);
  await Promise.all(
    members.map((userId) => sendCommand(call, teamId, owner, 'member.add', { userId, channelId })),
  );
  return channelId;
};

export const createRoundTeam = async (
  call: ApiCaller,
  label: string,
  taken: ReadonlySet<number>,
  partitionCount: number,
): Promise<RoundTeam> => {
  const owner = user(`${label}-owner`);
  const library = users(`${label}-lib`, LIBRARY_COUNT);
  const raw = users(`${label}-raw`, RAW_COUNT);
  const http = users(`${label}-http`, HTTP_COUNT);
  const all = [...library, ...raw, ...http];
  const churners = raw.slice(0, CHURNER_COUNT);
  const strollers = raw.slice(CHURNER_COUNT, CHURNER_COUNT + STROLLER_COUNT);
  const teamId = await createTeamIn(call, owner, taken, partitionCount);
  await Promise.all(all.map((userId) => sendCommand(call, teamId, owner, 'member.add', { userId })));
  const steady = [...library, ...http.slice(0, 1)];
  const [open, room, churn, lobby] = await Promise.all([
    createChannel(call, teamId, owner, 'public', 'open', all),
    createChannel(call, teamId, owner, 'private', 'room', steady),
    createChannel(call, teamId, owner, 'private', 'churn', [...steady, ...churners]),
    createChannel(call, teamId, owner, 'public', 'lobby', [...steady, ...strollers]),
  ]);
  const partition = partitionOf(teamId);
  return {
    teamId,
    partition,
    owner,
    library,
    raw,
    http,
    open,
    room,
    churn,
    churners,
    lobby,
    strollers,
  };
};

/** Every user of the team that a device or a page belongs to. */
export const membersOf = (team: RoundTeam): readonly UserId[] => [
  team.owner,
  ...team.library,
  ...team.raw,
  ...team.http,
];

/** Channels a user writes to. */
export const channelsOf = (team: RoundTeam, userId: UserId): readonly ChannelId[] => {
  if (team.library.includes(userId) || team.http[0] === userId) {
    return [team.open, team.room, team.churn, team.lobby];
  }
  if (team.churners.includes(userId)) return [team.open, team.open, team.churn];
  if (team.strollers.includes(userId)) return [team.open, team.open, team.lobby];
  return [team.open];
};
