/**
 * Keys of the documents. Each begins with the team, so that a collection can be sharded by ranges of `_id` and a
 * team stays together. `/` is in no id, so a prefix that ends with it matches whole ids only.
 */

import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import type { MemberKey } from '../port.ts';
import type { ChannelKey } from '../fold.ts';

/** Number.MAX_SAFE_INTEGER has 16 digits: text order is number order. */
const SEQ_DIGITS_COUNT = 16;

export const channelKey = ({ teamId, channelId }: ChannelKey): string => `${teamId}/${channelId}`;
export const memberKey = ({ teamId, userId }: MemberKey): string => `${teamId}/${userId}`;
/** Of a user within a channel: membership and read mark. */
export const channelMemberKey = (key: MemberKey & { readonly channelId: ChannelId }): string =>
  `${memberKey(key)}/${key.channelId}`;
export const messageKey = (key: ChannelKey, channelSeq: number): string =>
  `${channelKey(key)}/${String(Math.max(0, channelSeq)).padStart(SEQ_DIGITS_COUNT, '0')}`;
/** Not by team: the one question that spans teams is which ones a user is in. */
export const teamOfUserKey = (userId: UserId, teamId: TeamId): string => `${userId}/${teamId}`;

/** As `below`, of the keys that come after that of `after`; without it all. */
export const belowAfter = (
  prefix: string,
  after: string | undefined,
): { readonly $gt: string; readonly $lt: string } => ({
  $gt: `${prefix}/${after ?? ''}`,
  $lt: below(prefix).$lt,
});

/** Every key below `prefix`; `0` is the character after `/`. */
export const below = (prefix: string): { readonly $gte: string; readonly $lt: string } => ({
  $gte: `${prefix}/`,
  $lt: `${prefix}0`,
});
