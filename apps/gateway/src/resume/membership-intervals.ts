/**
 * Which part of each scope a user may have of (fromSeq, toSeq], told from the membership at its end and the user's own
 * `u_` events within. The walk goes the log's way: what a channel's first change is tells whether the user was in it
 * before. Pure.
 */

import type { ChannelId } from '@chat/contracts/ids';
import type { MembershipChange } from '../membership/membership-events.ts';

export type ChangeAt = { readonly seq: number; readonly change: MembershipChange };

/** Events with afterSeq < seq ≤ upToSeq. */
export type Interval = { readonly afterSeq: number; readonly upToSeq: number };

export type VisibleIntervals =
  | {
      readonly ok: true;
      readonly team: readonly Interval[];
      readonly channels: ReadonlyMap<ChannelId, readonly Interval[]>;
    }
  /** The user left the team within the range: its channels before that are recorded nowhere. */
  | { readonly ok: false };

export const visibleIntervals = (
  fromSeq: number,
  toSeq: number,
  channelsAtEnd: ReadonlyMap<ChannelId, number>,
  changes: readonly ChangeAt[],
): VisibleIntervals => {
  const channels = new Map<ChannelId, Interval[]>();
  const openSince = new Map<ChannelId, number>();
  const touched = new Set<ChannelId>();
  let teamSince = fromSeq;
  const close = (channelId: ChannelId, afterSeq: number, upToSeq: number): void => {
    if (upToSeq <= afterSeq) return;
    const intervals = channels.get(channelId);
    if (intervals) intervals.push({ afterSeq, upToSeq });
    else channels.set(channelId, [{ afterSeq, upToSeq }]);
  };

  for (const { seq, change } of changes) {
    if (seq <= fromSeq || seq > toSeq) continue;
    switch (change.kind) {
      case 'joined':
        touched.add(change.channelId);
        openSince.set(change.channelId, seq);
        break;
      case 'left': {
        // The first thing heard of it is the leaving: then it was a member all along.
        const since = touched.has(change.channelId) ? openSince.get(change.channelId) : fromSeq;
        touched.add(change.channelId);
        openSince.delete(change.channelId);
        if (since !== undefined) close(change.channelId, since, seq - 1);
        break;
      }
      case 'team_joined':
        teamSince = seq;
        break;
      case 'team_left':
        return { ok: false };
    }
  }
  for (const [channelId, sinceSeq] of channelsAtEnd)
    close(channelId, openSince.get(channelId) ?? Math.max(fromSeq, sinceSeq), toSeq);
  return { ok: true, team: [{ afterSeq: teamSince, upToSeq: toSeq }], channels };
};
