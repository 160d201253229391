/**
 * A batch of events folded into final rows, one per key, each with the `seq` that made it. Pure: adapters load
 * the heads of the channels named by `headsNeeded`, fold, and write the rows guarded by `seq`.
 *
 * Writing order for a store without transactions: messages, members and marks, then heads, then the checkpoint.
 * A replay after a crash in between then finds either the old head (and folds to the same rows again) or the
 * new one (and everything before it is already written; `seq` guards turn the repeated rows away).
 */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { EventOf } from '@chat/contracts/events';
import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import { LogFault, type MemberKey, type ReadEvent } from './port.ts';

/** Newest message of a channel: its channelSeq, the count of counted messages up to it, and its seq (0: none yet). */
export type ChannelHead = {
  readonly teamId: TeamId;
  readonly channelId: ChannelId;
  readonly lastChannelSeq: number;
  readonly countedSeq: number;
  readonly seq: number;
};
export type TeamRow = { readonly teamId: TeamId; readonly name: string; readonly seq: number };
export type TeamMemberRow = MemberKey & {
  readonly role: Role;
  readonly removed: boolean;
  readonly seq: number;
};
export type ChannelRow = {
  readonly teamId: TeamId;
  readonly channelId: ChannelId;
  readonly kind: ChannelKind;
  readonly name: string | undefined;
  readonly seq: number;
};
export type ChannelMemberRow = MemberKey & {
  readonly channelId: ChannelId;
  readonly role: Role;
  readonly sinceSeq: number;
  /** lastChannelSeq of the channel at the join: where the visible part of a channel that is not public begins. */
  readonly sinceChannelSeq: number;
  readonly removed: boolean;
  readonly seq: number;
};
export type ReadMarkRow = MemberKey & {
  readonly channelId: ChannelId;
  readonly upTo: number;
  readonly seq: number;
};
export type MessageRow = {
  readonly teamId: TeamId;
  readonly channelId: ChannelId;
  readonly channelSeq: number;
  readonly countedSeq: number;
  readonly seq: number;
  readonly id: CommandId;
  readonly actor: UserId;
  readonly at: number;
  readonly text: string;
};

export type Changes = {
  readonly teams: ReadonlyMap<string, TeamRow>;
  readonly teamMembers: ReadonlyMap<string, TeamMemberRow>;
  /** Every channel membership of the user with a smaller seq ends with this seq. To be written before `channelMembers`. */
  readonly teamRemovals: ReadonlyMap<string, MemberKey & { readonly seq: number }>;
  readonly channels: ReadonlyMap<string, ChannelRow>;
  readonly channelMembers: ReadonlyMap<string, ChannelMemberRow>;
  /** Ends of channel memberships that began before this batch. */
  readonly channelRemovals: ReadonlyMap<string, MemberKey & { channelId: ChannelId; seq: number }>;
  readonly readMarks: ReadonlyMap<string, ReadMarkRow>;
  readonly messages: readonly MessageRow[];
  readonly heads: ReadonlyMap<string, ChannelHead>;
};

export type ChannelKey = { readonly teamId: TeamId; readonly channelId: ChannelId };
export const channelKeyOf = ({ teamId, channelId }: ChannelKey): string => `${teamId}/${channelId}`;
const memberKeyOf = ({ teamId, userId }: MemberKey): string => `${teamId}/${userId}`;

/** Membership events come twice: the user's own (`u_`), which counts, and the twin that tells others. */
const isOwn = (scope: string): boolean => scope.startsWith('u_');

/** Channels whose heads the fold must know. */
export const headsNeeded = (events: readonly ReadEvent[]): ChannelKey[] => {
  const needed = new Map<string, ChannelKey>();
  for (const { teamId, scope, event } of events) {
    const wanted = event.type === 'message.sent' || (event.type === 'member.added' && isOwn(scope));
    if (!wanted || event.channelId === undefined) continue;
    const key = { teamId, channelId: event.channelId };
    needed.set(channelKeyOf(key), key);
  }
  return [...needed.values()];
};

/** Whose membership value changes by these events, each once. */
export const touchedMembers = (events: readonly ReadEvent[]): MemberKey[] => {
  const touched = new Map<string, MemberKey>();
  for (const { teamId, scope, event } of events) {
    if (!isOwn(scope)) continue;
    switch (event.type) {
      case 'team.member_added':
      case 'team.member_removed':
      case 'member.added':
      case 'member.removed': {
        const key = { teamId, userId: event.data.userId };
        touched.set(memberKeyOf(key), key);
        break;
      }
    }
  }
  return [...touched.values()];
};

type Mutable<T> = T extends ReadonlyMap<infer K, infer V> ? Map<K, V> : T;
type Folding = { -readonly [K in keyof Changes]: Mutable<Changes[K]> } & { messages: MessageRow[] };

export const foldBatch = (events: readonly ReadEvent[], heads: readonly ChannelHead[]): Changes => {
  const folding: Folding = {
    teams: new Map(),
    teamMembers: new Map(),
    teamRemovals: new Map(),
    channels: new Map(),
    channelMembers: new Map(),
    channelRemovals: new Map(),
    readMarks: new Map(),
    messages: [],
    heads: new Map(),
  };
  const known = new Map(heads.map((head) => [channelKeyOf(head), head]));
  for (const event of events) foldEvent(folding, known, event);
  return folding;
};

const foldEvent = (folding: Folding, known: ReadonlyMap<string, ChannelHead>, read: ReadEvent): void => {
  const { teamId, scope, event } = read;
  const { seq } = event;
  switch (event.type) {
    case 'message.sent':
      return foldMessage(folding, known, teamId, event);
    case 'team.created':
      folding.teams.set(teamId, { teamId, name: event.data.name, seq });
      return;
    case 'team.member_added':
      if (!isOwn(scope)) return;
      return foldTeamMember(folding, {
        teamId,
        userId: event.data.userId,
        role: event.data.role,
        removed: false,
        seq,
      });
    case 'team.member_removed':
      if (isOwn(scope)) foldTeamRemoval(folding, { teamId, userId: event.data.userId, seq });
      return;
    case 'channel.created': {
      const { kind, name } = event.data;
      return foldChannel(folding, { teamId, channelId: channelOf(event), kind, name, seq });
    }
    case 'member.added':
      if (isOwn(scope)) foldJoin(folding, known, teamId, event);
      return;
    case 'member.removed':
      if (isOwn(scope)) foldLeave(folding, teamId, event);
      return;
    case 'read.marked': {
      const row = {
        teamId,
        userId: scope.slice(2) as UserId,
        channelId: channelOf(event),
        upTo: event.data.upTo,
        seq,
      };
      folding.readMarks.set(`${memberKeyOf(row)}/${row.channelId}`, row);
      return;
    }
    case 'command.rejected':
      return;
  }
};

const channelOf = (event: { readonly channelId?: ChannelId; readonly seq: number }): ChannelId => {
  if (event.channelId === undefined) throw new LogFault(`event ${event.seq} names no channel`);
  return event.channelId;
};

/** The head after what was folded so far; the one of the store; or an empty one for a channel born in this batch. */
const headOf = (
  folding: Folding,
  known: ReadonlyMap<string, ChannelHead>,
  key: ChannelKey,
): ChannelHead | undefined => {
  const name = channelKeyOf(key);
  const head = folding.heads.get(name) ?? known.get(name);
  if (head) return head;
  return folding.channels.has(name) ? { ...key, lastChannelSeq: 0, countedSeq: 0, seq: 0 } : undefined;
};

const foldMessage = (
  folding: Folding,
  known: ReadonlyMap<string, ChannelHead>,
  teamId: TeamId,
  event: EventOf<'message.sent'>,
): void => {
  const key = { teamId, channelId: channelOf(event) };
  const head = headOf(folding, known, key);
  if (!head) throw new LogFault(`event ${event.seq} is a message in a channel that was never created`);
  // A head beyond this event: the store was ahead of its checkpoint, and this row is written already.
  if (event.seq <= head.seq) return;
  if (event.channelSeq !== head.lastChannelSeq + 1) {
    throw new LogFault(`event ${event.seq} has channelSeq ${event.channelSeq} after ${head.lastChannelSeq}`);
  }
  const { seq, channelSeq, actor, at } = event;
  const countedSeq = head.countedSeq + 1;
  folding.messages.push({
    ...key,
    channelSeq,
    countedSeq,
    seq,
    id: event.commandId,
    actor,
    at,
    text: event.data.text,
  });
  folding.heads.set(channelKeyOf(key), { ...key, lastChannelSeq: channelSeq, countedSeq, seq });
};

const foldTeamMember = (folding: Folding, row: TeamMemberRow): void => {
  folding.teamMembers.set(memberKeyOf(row), row);
};

const foldTeamRemoval = (folding: Folding, removal: MemberKey & { readonly seq: number }): void => {
  const { teamId, userId, seq } = removal;
  foldTeamMember(folding, { teamId, userId, role: 'member', removed: true, seq });
  folding.teamRemovals.set(memberKeyOf(removal), removal);
  for (const [key, row] of folding.channelMembers) {
    if (row.teamId === teamId && row.userId === userId && !row.removed) {
      folding.channelMembers.set(key, { ...row, removed: true, seq });
    }
  }
};

/** `member.added` carries kind and name as well, because it stands before `channel.created` of a private channel. */
const foldChannel = (folding: Folding, row: ChannelRow): void => {
  folding.channels.set(channelKeyOf(row), row);
};

const foldJoin = (
  folding: Folding,
  known: ReadonlyMap<string, ChannelHead>,
  teamId: TeamId,
  event: EventOf<'member.added'>,
): void => {
  const { seq, data } = event;
  const { userId, role, kind, name } = data;
  const key = { teamId, channelId: channelOf(event) };
  const head = headOf(folding, known, key);
  if (!head) foldChannel(folding, { ...key, kind, name, seq });
  const row = {
    ...key,
    userId,
    role,
    sinceSeq: seq,
    sinceChannelSeq: head?.lastChannelSeq ?? 0,
    removed: false,
    seq,
  };
  const memberKey = `${memberKeyOf(row)}/${key.channelId}`;
  folding.channelRemovals.delete(memberKey);
  folding.channelMembers.set(memberKey, row);
};

const foldLeave = (folding: Folding, teamId: TeamId, event: EventOf<'member.removed'>): void => {
  const { seq, data } = event;
  const key = { teamId, userId: data.userId, channelId: channelOf(event) };
  const memberKey = `${memberKeyOf(key)}/${key.channelId}`;
  const row = folding.channelMembers.get(memberKey);
  if (row) folding.channelMembers.set(memberKey, { ...row, removed: true, seq });
  else folding.channelRemovals.set(memberKey, { ...key, seq });
};
