/**
 * Who may see what, computed from the log alone and independently of gateway and read model: the reference that
 * I3 (nothing reaches a non-member) and I4 (everything up to head, each once) are checked against.
 */

import type { EventElement } from '@chat/contracts/events';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import type { LogRow } from './history.ts';

export type TeamEvent = { readonly row: LogRow; readonly event: EventElement };

/** The team's part of the log, parsed once. */
export const teamEvents = (log: readonly LogRow[], teamId: TeamId): readonly TeamEvent[] =>
  log
    .filter((row) => row.teamId === teamId)
    .map((row) => ({ row, event: JSON.parse(row.payload) as EventElement }));

/** What one user is at a point of the log. */
type Membership = { inTeam: boolean; readonly channels: Map<ChannelId, number> };

/** Moves `membership` over one event of the user's own scope. `since` of a channel is the seq of that event. */
const follow = (membership: Membership, event: EventElement): void => {
  switch (event.type) {
    case 'team.member_added':
      membership.inTeam = true;
      return;
    case 'team.member_removed':
      membership.inTeam = false;
      membership.channels.clear();
      return;
    case 'member.added':
      if (event.channelId) membership.channels.set(event.channelId, event.seq);
      return;
    case 'member.removed':
      if (event.channelId) membership.channels.delete(event.channelId);
      return;
  }
};

const mayReceive = (membership: Membership, userId: UserId, row: LogRow): boolean => {
  if (row.scope === `u_${userId}`) return true;
  if (row.scope === 't') return membership.inTeam;
  return row.scope.startsWith('c_') && membership.channels.has(row.scope.slice(2) as ChannelId);
};

/** All events that a socket of `userId` which never disconnects is given, in order. */
export const receivable = (events: readonly TeamEvent[], userId: UserId): readonly TeamEvent[] => {
  const membership: Membership = { inTeam: false, channels: new Map() };
  return events.filter(({ row, event }) => {
    const visible = mayReceive(membership, userId, row);
    if (row.scope === `u_${userId}`) follow(membership, event);
    return visible;
  });
};

/** The messages of a channel that `userId` may read from the API at the end of the log; ascending. */
export const readable = (
  events: readonly TeamEvent[],
  userId: UserId,
  channelId: ChannelId,
): readonly TeamEvent[] => {
  const membership: Membership = { inTeam: false, channels: new Map() };
  let isPublic = false;
  for (const { row, event } of events) {
    if (row.scope === `u_${userId}`) follow(membership, event);
    if (event.type === 'channel.created' && event.channelId === channelId) {
      isPublic = event.data.kind === 'public';
    }
  }
  const sinceSeq = membership.channels.get(channelId);
  if (sinceSeq === undefined) return [];
  return events.filter(
    ({ event }) =>
      event.type === 'message.sent' && event.channelId === channelId && (isPublic || event.seq > sinceSeq),
  );
};

/** The user's read mark in a channel at the end of the log; a (re-)join begins at 0. */
export const readMark = (events: readonly TeamEvent[], userId: UserId, channelId: ChannelId): number => {
  let upTo = 0;
  for (const { row, event } of events) {
    if (row.scope !== `u_${userId}` || event.channelId !== channelId) continue;
    if (event.type === 'member.added') upTo = 0;
    if (event.type === 'read.marked') upTo = event.data.upTo;
  }
  return upTo;
};
