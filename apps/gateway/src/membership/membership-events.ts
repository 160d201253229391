/** What a `u_` event does to one user's membership. Pure; used live, at hello and when a replay is planned. */

import type { EventElement } from '@chat/contracts/events';
import type { ChannelId } from '@chat/contracts/ids';
import { type StoredEvent, upcast } from '@chat/contracts/upcast';

export type MembershipChange =
  | { readonly kind: 'joined'; readonly channelId: ChannelId }
  | { readonly kind: 'left'; readonly channelId: ChannelId }
  | { readonly kind: 'team_joined' }
  | { readonly kind: 'team_left' };

/** Only for events of a `u_` scope; their twins in `c_` and `t` change nothing. */
export const membershipChangeOf = (event: EventElement): MembershipChange | undefined => {
  switch (event.type) {
    case 'member.added':
      return event.channelId ? { kind: 'joined', channelId: event.channelId } : undefined;
    case 'member.removed':
      return event.channelId ? { kind: 'left', channelId: event.channelId } : undefined;
    case 'team.member_added':
      return { kind: 'team_joined' };
    case 'team.member_removed':
      return { kind: 'team_left' };
    default:
      return undefined;
  }
};

/** One user's membership of a team: since which seq of each channel. */
export type Membership = { isMember: boolean; readonly channels: Map<ChannelId, number> };

export const applyChange = (membership: Membership, change: MembershipChange, seq: number): void => {
  switch (change.kind) {
    case 'joined':
      membership.channels.set(change.channelId, seq);
      return;
    case 'left':
      membership.channels.delete(change.channelId);
      return;
    case 'team_joined':
      membership.isMember = true;
      return;
    case 'team_left':
      membership.isMember = false;
      membership.channels.clear();
  }
};

/**
 * An event of a `u_` scope, of any version; undefined when it is none that can be read. One that is newer than this
 * gateway is passed on as it is: who was let in or out is told by type and channel, which no version changes, and a
 * removal that was not heeded would leak.
 */
export const parseEvent = (data: Uint8Array): EventElement | undefined => {
  try {
    const json = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
    const stored = JSON.parse(json) as StoredEvent;
    const read = upcast(stored);
    return read.kind === 'read' ? read.event : (stored as EventElement);
  } catch {
    return undefined;
  }
};
