/**
 * `decide`: a command against a team's state → the events that follow, or the code of the refusal. Pure:
 * the clock comes in with the call, and the state is only read. O(1) for `message.send`.
 *
 * Existence is told only to those who may know it: a private or direct channel that the actor is not in is
 * `…_NOT_FOUND`, never `FORBIDDEN`; so is a team that the actor is not in.
 */

import type { Command, CommandName, Role } from '@chat/contracts/commands';
import type { ErrorCode } from '@chat/contracts/errors';
import { type ChannelId, type UserId, channelIdOf } from '@chat/contracts/ids';
import { channelScope, teamScope, userScope } from '@chat/contracts/subjects';
import { type Channel, type DraftEvent, type Team, directKey, publicNameKey } from './team.ts';

export type Decision =
  | { readonly kind: 'accepted'; readonly events: readonly DraftEvent[] }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly message?: string };

type CommandOf<N extends CommandName> = Extract<Command, { readonly name: N }>;
export type DecideContext = { readonly nowMs: number };

const accepted = (events: readonly DraftEvent[]): Decision => ({ kind: 'accepted', events });
const rejected = (code: ErrorCode): Decision => ({ kind: 'rejected', code });

/** `at` never goes back within a channel. */
const atOf = (channel: Channel, { nowMs }: DecideContext): number => Math.max(channel.lastAtMs, nowMs);

export const decide = (team: Team | undefined, command: Command, context: DecideContext): Decision => {
  if (command.name === 'message.send') return decideMessageSend(team, command, context);
  if (command.name === 'team.create') return decideTeamCreate(team, command, context);
  const actorRole = team?.members.get(command.actor);
  if (!team || actorRole === undefined) return rejected('TEAM_NOT_FOUND');
  switch (command.name) {
    case 'channel.create':
      return decideChannelCreate(team, command, context);
    case 'channel.join':
      return decideChannelJoin(team, command, context);
    case 'channel.leave':
      return decideChannelLeave(team, command, context);
    case 'read.mark':
      return decideReadMark(team, command, context);
    case 'member.add':
      return command.data.channelId === undefined
        ? decideTeamMemberAdd(team, actorRole, command, context)
        : decideChannelMemberAdd(team, actorRole, command.data.channelId, command, context);
    case 'member.remove':
      return command.data.channelId === undefined
        ? decideTeamMemberRemove(team, actorRole, command, context)
        : decideChannelMemberRemove(team, actorRole, command.data.channelId, command, context);
  }
};

const decideMessageSend = (
  team: Team | undefined,
  command: CommandOf<'message.send'>,
  context: DecideContext,
): Decision => {
  const { channelId, text } = command.data;
  const channel = team?.channels.get(channelId);
  if (!channel || !channel.members.has(command.actor)) {
    return rejected(team?.members.has(command.actor) ? 'MSG_CHANNEL_NOT_FOUND' : 'TEAM_NOT_FOUND');
  }
  return accepted([
    {
      type: 'message.sent',
      scope: channelScope(channelId),
      data: { text },
      channelId,
      channelSeq: channel.lastChannelSeq + 1,
      at: atOf(channel, context),
    },
  ]);
};

const decideTeamCreate = (
  team: Team | undefined,
  { actor, data }: CommandOf<'team.create'>,
  { nowMs: at }: DecideContext,
): Decision => {
  if (team) return rejected('TEAM_EXISTS');
  const added = { userId: actor, role: 'owner', teamName: data.name } as const;
  return accepted([
    { type: 'team.created', scope: teamScope, data: { name: data.name }, at },
    { type: 'team.member_added', scope: userScope(actor), data: added, at },
    { type: 'team.member_added', scope: teamScope, data: added, at },
  ]);
};

/** The two events by which `userId` comes into a channel: first the user's own, then the channel's (ADR 10). */
const memberAdded = (
  channel: Pick<Channel, 'id' | 'kind' | 'name'>,
  userId: UserId,
  role: Role,
  at: number,
): DraftEvent[] => {
  const { id: channelId, kind, name } = channel;
  const data = { userId, role, kind, ...(name === undefined ? {} : { name }) };
  return [
    { type: 'member.added', scope: userScope(userId), data, channelId, at },
    { type: 'member.added', scope: channelScope(channelId), data, channelId, at },
  ];
};

const memberRemoved = (
  channelId: ChannelId,
  userId: UserId,
  reason: 'left' | 'removed',
  at: number,
): DraftEvent[] => [
  { type: 'member.removed', scope: userScope(userId), data: { userId, reason }, channelId, at },
  { type: 'member.removed', scope: channelScope(channelId), data: { userId, reason }, channelId, at },
];

const decideChannelCreate = (
  team: Team,
  { actor, data, id }: CommandOf<'channel.create'>,
  { nowMs: at }: DecideContext,
): Decision => {
  const channelId = channelIdOf(id);
  const { kind, name } = data;
  const channel = { id: channelId, kind, name };
  const createdData = { kind, ...(name === undefined ? {} : { name }) };
  if (kind === 'direct') {
    const members = [actor, ...(data.memberIds ?? []).filter((userId) => userId !== actor)];
    if (members.some((userId) => !team.members.has(userId))) return rejected('TEAM_MEMBER_NOT_FOUND');
    if (team.directKeys.has(directKey(members))) return rejected('CHANNEL_DIRECT_EXISTS');
    return accepted([
      ...members.flatMap((userId) => memberAdded(channel, userId, 'member', at)),
      { type: 'channel.created', scope: channelScope(channelId), data: createdData, channelId, at },
    ]);
  }
  const creator = memberAdded(channel, actor, 'admin', at);
  if (kind === 'private') {
    return accepted([
      ...creator,
      { type: 'channel.created', scope: channelScope(channelId), data: createdData, channelId, at },
    ]);
  }
  if (name !== undefined && team.publicNames.has(publicNameKey(name))) return rejected('CHANNEL_NAME_TAKEN');
  return accepted([
    { type: 'channel.created', scope: teamScope, data: createdData, channelId, at },
    ...creator,
  ]);
};

const decideChannelJoin = (
  team: Team,
  { actor, data }: CommandOf<'channel.join'>,
  context: DecideContext,
): Decision => {
  const channel = team.channels.get(data.channelId);
  if (channel?.members.has(actor)) return rejected('CHANNEL_MEMBER_EXISTS');
  if (!channel || channel.kind !== 'public') return rejected('CHANNEL_NOT_FOUND');
  return accepted(memberAdded(channel, actor, 'member', atOf(channel, context)));
};

const decideChannelLeave = (
  team: Team,
  { actor, data }: CommandOf<'channel.leave'>,
  context: DecideContext,
): Decision => {
  const channel = team.channels.get(data.channelId);
  if (!channel || (channel.kind !== 'public' && !channel.members.has(actor))) {
    return rejected('CHANNEL_NOT_FOUND');
  }
  if (!channel.members.has(actor)) return rejected('CHANNEL_MEMBER_NOT_FOUND');
  if (channel.kind === 'direct') return rejected('CHANNEL_KIND_FORBIDS');
  return accepted(memberRemoved(channel.id, actor, 'left', atOf(channel, context)));
};

const decideReadMark = (
  team: Team,
  { actor, data }: CommandOf<'read.mark'>,
  context: DecideContext,
): Decision => {
  const channel = team.channels.get(data.channelId);
  const member = channel?.members.get(actor);
  if (!channel || !member) return rejected('CHANNEL_NOT_FOUND');
  const upTo = data.channelSeq;
  if (upTo > channel.lastChannelSeq) return rejected('READ_MARK_UNKNOWN');
  if (upTo <= member.readUpTo) return rejected('READ_MARK_STALE');
  const at = atOf(channel, context);
  return accepted([
    { type: 'read.marked', scope: userScope(actor), data: { upTo }, channelId: channel.id, at },
  ]);
};

const mayManage = (role: Role | undefined): boolean => role === 'owner' || role === 'admin';

const decideTeamMemberAdd = (
  team: Team,
  actorRole: Role,
  { data }: CommandOf<'member.add'>,
  { nowMs: at }: DecideContext,
): Decision => {
  if (!mayManage(actorRole)) return rejected('FORBIDDEN');
  if (team.members.has(data.userId)) return rejected('TEAM_MEMBER_EXISTS');
  const added = { userId: data.userId, role: data.role ?? 'member', teamName: team.name } as const;
  return accepted([
    { type: 'team.member_added', scope: userScope(data.userId), data: added, at },
    { type: 'team.member_added', scope: teamScope, data: added, at },
  ]);
};

const decideTeamMemberRemove = (
  team: Team,
  actorRole: Role,
  { data: { userId } }: CommandOf<'member.remove'>,
  { nowMs: at }: DecideContext,
): Decision => {
  if (!mayManage(actorRole)) return rejected('FORBIDDEN');
  const role = team.members.get(userId);
  if (role === undefined) return rejected('TEAM_MEMBER_NOT_FOUND');
  if (role === 'owner') return rejected('FORBIDDEN');
  return accepted([
    { type: 'team.member_removed', scope: userScope(userId), data: { userId }, at },
    { type: 'team.member_removed', scope: teamScope, data: { userId }, at },
  ]);
};

const decideChannelMemberAdd = (
  team: Team,
  actorRole: Role,
  channelId: ChannelId,
  { actor, data }: CommandOf<'member.add'>,
  context: DecideContext,
): Decision => {
  const channel = team.channels.get(channelId);
  const actorMember = channel?.members.get(actor);
  if (!channel || (!actorMember && channel.kind !== 'public')) return rejected('CHANNEL_NOT_FOUND');
  if (channel.kind === 'direct') return rejected('CHANNEL_KIND_FORBIDS');
  if (!actorMember) return rejected('FORBIDDEN');
  const role = data.role ?? 'member';
  if (role === 'admin' && !mayManage(actorMember.role) && !mayManage(actorRole)) return rejected('FORBIDDEN');
  if (!team.members.has(data.userId)) return rejected('TEAM_MEMBER_NOT_FOUND');
  if (channel.members.has(data.userId)) return rejected('CHANNEL_MEMBER_EXISTS');
  return accepted(memberAdded(channel, data.userId, role, atOf(channel, context)));
};

/** By a channel admin, by an owner or admin of the team, or by the member itself (then it has left). */
const decideChannelMemberRemove = (
  team: Team,
  actorRole: Role,
  channelId: ChannelId,
  { actor, data: { userId } }: CommandOf<'member.remove'>,
  context: DecideContext,
): Decision => {
  const channel = team.channels.get(channelId);
  const actorMember = channel?.members.get(actor);
  if (!channel) return rejected('CHANNEL_NOT_FOUND');
  if (!actorMember && (channel.kind === 'direct' || (channel.kind === 'private' && !mayManage(actorRole)))) {
    return rejected('CHANNEL_NOT_FOUND');
  }
  if (channel.kind === 'direct') return rejected('CHANNEL_KIND_FORBIDS');
  if (userId !== actor && !mayManage(actorMember?.role) && !mayManage(actorRole)) {
    return rejected('FORBIDDEN');
  }
  if (!channel.members.has(userId)) return rejected('CHANNEL_MEMBER_NOT_FOUND');
  const reason = userId === actor ? 'left' : 'removed';
  return accepted(memberRemoved(channel.id, userId, reason, atOf(channel, context)));
};
