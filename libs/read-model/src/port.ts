/**
 * The read model as a port. An adapter needs only: finds by indexed range, upserts guarded by `seq`, bulk
 * writes. What every adapter promises (pinned by testing/contract.ts):
 *
 * - **Idempotent.** A row carries the `seq` of the event that made it, and only a greater one replaces it;
 *   applying a batch, or any overlapping range, again changes nothing.
 * - **No hole.** A batch that does not join the checkpoint is refused (`gap`), as is one of another epoch.
 * - **Never older than it says.** `asOf` of an answer is a sequence whose events are all in the answer.
 *   An answer may hold more; each entity carries its `seq`.
 * - **Who may read** is part of every query: no row leaves for one who is not a member as of that answer (I3).
 */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { EventElement, MembershipView } from '@chat/contracts/events';
import type { ChannelView, MessageView, ReadStamp } from '@chat/contracts/http';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import type { Scope } from '@chat/contracts/subjects';

/** An event with its address; `event.seq` is its number in the partition. */
export type ReadEvent = { readonly teamId: TeamId; readonly scope: Scope; readonly event: EventElement };

export type Checkpoint = {
  readonly epoch: string;
  /** Every event up to this one is applied. */
  readonly seq: number;
  /** Digest of the payload of event `seq`: tells whether a log holds the same history. */
  readonly digest: string;
};

export type EventBatch = {
  readonly partition: number;
  readonly epoch: string;
  /** The batch holds every event of the partition in (afterSeq, upTo], ascending. */
  readonly afterSeq: number;
  readonly upTo: number;
  readonly events: readonly ReadEvent[];
  /** Digest of the payload of event `upTo`. */
  readonly digest: string;
};

export type ApplyResult =
  /** In the store, together with the checkpoint (which may be further on: someone else was faster). */
  | { readonly kind: 'applied'; readonly checkpoint: Checkpoint }
  /** Events between the checkpoint and the batch are missing; nothing was changed. Seq 0: nothing applied yet. */
  | { readonly kind: 'gap'; readonly seq: number }
  /** The store holds another epoch of the partition; nothing was changed. */
  | { readonly kind: 'epoch_differs'; readonly checkpoint: Checkpoint };

export type MemberKey = { readonly teamId: TeamId; readonly userId: UserId };
export type ChangedMember = MemberKey & { readonly seq: number };

export type PageRequest = {
  readonly limitCount: number;
  /** At most one of the three: channelSeq < before, > after, or half a page on each side of `around`. None: the newest. */
  readonly before?: number;
  readonly after?: number;
  readonly around?: number;
};

/** Answers to one user's question about a team; `stamp` is undefined while nothing of the partition is applied. */
export type Refusal =
  /** No such team, or not a member of it. */
  | { readonly kind: 'team_not_found' }
  /** No such channel, or not a member of it. */
  | { readonly kind: 'channel_not_found' };

export type MessagePage = ReadStamp & {
  readonly kind: 'found';
  /** Ascending by channelSeq. */
  readonly messages: readonly MessageView[];
  readonly hasMoreBefore: boolean;
  readonly hasMoreAfter: boolean;
};
/**
 * A page of a list in bytewise order of its key: up to `limitCount` (at least 1) entries whose key is greater than `after`.
 * Keys never change, so whoever goes from page to page meets no entry twice, and each one that was there all the time.
 */
export type ListRequest<K> = { readonly limitCount: number; readonly after?: K | undefined };

/** `hasMore`: there were greater keys than the last of the page. */
export type ChannelList = ReadStamp & {
  readonly kind: 'found';
  readonly channels: readonly ChannelView[];
  readonly hasMore: boolean;
};
export type MemberList = ReadStamp & {
  readonly kind: 'found';
  readonly members: readonly { readonly userId: UserId; readonly role: Role }[];
  readonly hasMore: boolean;
};

/** A channel whose messages with a greater channelSeq than `visibleAfter` the asker may see. */
export type VisibleChannel = { readonly channelId: ChannelId; readonly visibleAfter: number };
export type VisibleChannels = ReadStamp & {
  readonly kind: 'found';
  readonly channels: readonly VisibleChannel[];
};

export type TeamOfUser = { readonly id: TeamId; readonly name: string; readonly role: Role };
export type TeamList = { readonly teams: readonly TeamOfUser[]; readonly hasMore: boolean };

/** What a projector needs of a view: each view keeps a checkpoint of its own for every partition. */
export type ProjectionTarget = {
  /** Undefined: nothing of the partition was applied yet. */
  checkpoint(partition: number): Promise<Checkpoint | undefined>;
  /** All or nothing, with the checkpoint. Throws on trouble of the store, and a `LogFault` on events that cannot follow. */
  applyBatch(batch: EventBatch): Promise<ApplyResult>;
  /** Goes on under a new epoch whose history was found to be the same up to the checkpoint. False: the checkpoint moved. */
  adoptEpoch(partition: number, from: Checkpoint, epoch: string): Promise<boolean>;
};

export type ReadModel = ProjectionTarget & {
  /** By team id. */
  teamsOf(userId: UserId, page: ListRequest<TeamId>): Promise<TeamList>;
  /** The user's channels, and the public ones not joined (without role). By id. */
  channels(teamId: TeamId, userId: UserId, page: ListRequest<ChannelId>): Promise<ChannelList | Refusal>;
  messages(
    teamId: TeamId,
    channelId: ChannelId,
    userId: UserId,
    page: PageRequest,
  ): Promise<MessagePage | Refusal>;
  /** By user id. */
  members(
    teamId: TeamId,
    channelId: ChannelId,
    userId: UserId,
    page: ListRequest<UserId>,
  ): Promise<MemberList | Refusal>;
  /**
   * The channels whose history the asker may read, as of `asOf`; what is true of a message with a greater seq is not
   * known. Public ones not joined are not among them, as their history is not given either. Ordered by id.
   */
  visibleChannels(teamId: TeamId, userId: UserId): Promise<VisibleChannels | Refusal>;

  /** The membership value of one user for `MEMBERS`; undefined while nothing of the partition is applied. */
  membership(teamId: TeamId, userId: UserId): Promise<MembershipView | undefined>;
  /**
   * Whose membership changed after `afterSeq`, ascending by seq; a user may stand more than once. Fewer than
   * `limitCount`: that is all; else ask again after the last seq (one event changes one user, so none is cut in two).
   */
  changedMembers(partition: number, afterSeq: number, limitCount: number): Promise<readonly ChangedMember[]>;
};

/** The log holds something that cannot follow what was applied: a fault of the log or of this code; never skipped. */
export class LogFault extends Error {
  readonly code = 'READ_LOG_FAULT';
}

/** What a member may see of a channel begins after this channelSeq: public channels show all, others from the join on. */
export const visibleAfter = (kind: ChannelKind, sinceChannelSeq: number): number =>
  kind === 'public' ? 0 : sinceChannelSeq;
