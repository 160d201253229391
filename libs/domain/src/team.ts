/**
 * The aggregate of the write side: one team with its members, channels and their members. It holds what
 * `decide` needs (ids, numbers, roles), never a message body. `evolve` changes it *in place*: the writer
 * owns the only copy under a partition lease and drops it when a batch did not commit.
 */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { EventData, EventType } from '@chat/contracts/events';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import type { Scope } from '@chat/contracts/subjects';

export type ChannelMember = {
  role: Role;
  /** seq of the `u_` event that let this member in; channel events with a greater seq are theirs. */
  sinceSeq: number;
  /** Greatest channelSeq marked as read; 0: none. */
  readUpTo: number;
};

export type Channel = {
  readonly id: ChannelId;
  readonly kind: ChannelKind;
  readonly name: string | undefined;
  readonly members: Map<UserId, ChannelMember>;
  /** channelSeq of the newest message; 0: none yet. */
  lastChannelSeq: number;
  /** `at` of the newest event of the channel: `at` never goes back within a channel, whatever the clock does. */
  lastAtMs: number;
  /** The key under which a direct channel is unique; undefined for other kinds and once one of its members left the team. */
  directKey: string | undefined;
};

export type Team = {
  readonly id: TeamId;
  name: string;
  readonly members: Map<UserId, Role>;
  readonly channels: Map<ChannelId, Channel>;
  /** `publicNameKey(name)` → channel. */
  readonly publicNames: Map<string, ChannelId>;
  /** `directKey(members)` → channel. */
  readonly directKeys: Map<string, ChannelId>;
};

/** An event before it has a number and a command: what `decide` answers. */
type Draft<T extends EventType> = {
  readonly type: T;
  readonly scope: Scope;
  readonly data: EventData[T];
  readonly channelId?: ChannelId;
  /** Messages only. */
  readonly channelSeq?: number;
  /** ms since the Unix epoch */
  readonly at: number;
};
export type DraftEvent = { readonly [T in EventType]: Draft<T> }[EventType];
export type DraftOf<T extends EventType> = Draft<T>;

export const newTeam = (id: TeamId): Team => ({
  id,
  name: '',
  members: new Map(),
  channels: new Map(),
  publicNames: new Map(),
  directKeys: new Map(),
});

/** Names that look alike are one name: `General`, `general` and its full-width form. */
export const publicNameKey = (name: string): string => name.normalize('NFKC').toLowerCase();

/** Order-free key of a direct channel's member set. User ids hold no comma. */
export const directKey = (members: Iterable<UserId>): string => [...members].sort().join(',');

/** Puts a channel into the team and its indexes; used by `evolve` and when a team is read from the database. */
export const putChannel = (team: Team, channel: Channel): void => {
  team.channels.set(channel.id, channel);
  if (channel.kind === 'public' && channel.name !== undefined) {
    team.publicNames.set(publicNameKey(channel.name), channel.id);
  }
  if (channel.directKey !== undefined) team.directKeys.set(channel.directKey, channel.id);
};

const ensureChannel = (
  team: Team,
  id: ChannelId,
  kind: ChannelKind,
  name: string | undefined,
  at: number,
): Channel => {
  let channel = team.channels.get(id);
  if (!channel) {
    channel = {
      id,
      kind,
      name,
      members: new Map(),
      lastChannelSeq: 0,
      lastAtMs: at,
      directKey: undefined,
    };
    putChannel(team, channel);
  }
  if (at > channel.lastAtMs) channel.lastAtMs = at;
  return channel;
};

/** A user that leaves the team leaves all its channels; the pair may open a new direct channel after a return. */
const removeFromTeam = (team: Team, userId: UserId): void => {
  team.members.delete(userId);
  for (const channel of team.channels.values()) {
    if (!channel.members.delete(userId) || channel.directKey === undefined) continue;
    team.directKeys.delete(channel.directKey);
    channel.directKey = undefined;
  }
};

/** The twin of a membership event (`t` or `c_`) tells others; the `u_` event is the one that changes state. */
const isTwin = (scope: Scope): boolean => scope.charCodeAt(0) !== 0x75; /* u */

/**
 * Applies event number `seq`; creates the team when it is `undefined`. Every event of a team is applied once
 * and in order of `seq`. Throws on an event that cannot follow this state (a fault of the log, not a refusal).
 */
export const evolve = (team: Team | undefined, teamId: TeamId, event: DraftEvent, seq: number): Team => {
  const state = team ?? newTeam(teamId);
  switch (event.type) {
    case 'message.sent': {
      const channel = channelOf(state, event.channelId);
      channel.lastChannelSeq = event.channelSeq ?? channel.lastChannelSeq + 1;
      if (event.at > channel.lastAtMs) channel.lastAtMs = event.at;
      return state;
    }
    case 'read.marked': {
      const member = channelOf(state, event.channelId).members.get(scopeUser(event.scope));
      if (member && event.data.upTo > member.readUpTo) member.readUpTo = event.data.upTo;
      return state;
    }
    case 'team.created':
      state.name = event.data.name;
      return state;
    case 'team.member_added':
      if (!isTwin(event.scope)) state.members.set(event.data.userId, event.data.role);
      return state;
    case 'team.member_removed':
      if (!isTwin(event.scope)) removeFromTeam(state, event.data.userId);
      return state;
    case 'channel.created':
    case 'member.added':
    case 'member.removed':
      evolveChannel(state, event, seq);
      return state;
    case 'command.rejected':
      return state;
  }
};

const evolveChannel = (
  team: Team,
  event: DraftOf<'channel.created'> | DraftOf<'member.added'> | DraftOf<'member.removed'>,
  seq: number,
): void => {
  const id = event.channelId;
  if (id === undefined) throw new Error(`event ${seq} (${event.type}) names no channel`);
  if (event.type === 'member.removed') {
    const channel = channelOf(team, id);
    if (!isTwin(event.scope)) channel.members.delete(event.data.userId);
    if (event.at > channel.lastAtMs) channel.lastAtMs = event.at;
    return;
  }
  const channel = ensureChannel(team, id, event.data.kind, event.data.name, event.at);
  if (event.type === 'channel.created') {
    if (event.data.kind !== 'direct') return;
    channel.directKey = directKey(channel.members.keys());
    team.directKeys.set(channel.directKey, id);
  } else if (!isTwin(event.scope)) {
    channel.members.set(event.data.userId, { role: event.data.role, sinceSeq: seq, readUpTo: 0 });
  }
};

const scopeUser = (scope: Scope): UserId => scope.slice(2) as UserId;

const channelOf = (team: Team, id: ChannelId | undefined): Channel => {
  const channel = id === undefined ? undefined : team.channels.get(id);
  if (!channel) throw new Error(`the log names channel ${id} before its creation`);
  return channel;
};
