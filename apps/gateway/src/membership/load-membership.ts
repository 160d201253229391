/**
 * A user's membership as of the partition's flushed sequence: the projector's value, read from the leader, plus the
 * user's own `u_` events after it. Needs the projector only for what the tail no longer holds.
 */

import type { MembershipView } from '@chat/contracts/events';
import type { UserId } from '@chat/contracts/ids';
import { evtStream, membersStream } from '@chat/contracts/streams';
import { evtSubject, mbrSubject, userScope } from '@chat/contracts/subjects';
import type { TeamId } from '@chat/contracts/ids';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { getBySubjectFrom, getMessage, streamState } from '@chat/platform/nats/streams';
import type { Partition } from '../feed/partition.ts';
import { changesInTail } from '../resume/replay-plan.ts';
import type { MembersPositions } from './members-position.ts';
import { type Membership, applyChange, membershipChangeOf, parseEvent } from './membership-events.ts';

/** How long hello waits for the projector's position, and for the feed to reach the view. */
const WAIT_MAX_MS = 4_000;
/** `u_` events of one user between the view and the tail: more than this means the projector stands still. */
const CATCH_UP_MAX_COUNT = 5_000;
const CATCH_UP_MAX_BYTES = 4 * 2 ** 20;

export type MembershipBase = {
  /** The membership as of `asOf`. */
  readonly membership: Membership;
  asOf: number;
};

export type LoadMembershipDeps = { readonly nats: NatsHandle; readonly positions: MembersPositions };

export type LoadMembership = (
  partition: Partition,
  teamId: TeamId,
  userId: UserId,
) => Promise<MembershipBase | undefined>;

const parseView = (data: Uint8Array): MembershipView =>
  JSON.parse(Buffer.from(data).toString()) as MembershipView;

const isTailWhole = (partition: Partition): boolean => partition.tail.firstSeq <= 1;

/**
 * Answers undefined when the membership cannot be told for now. The caller applies the tail from `asOf` on with
 * `completeMembership`, in one turn with whatever it does next. Throws when NATS does not answer.
 */
export const createLoadMembership =
  ({ nats, positions }: LoadMembershipDeps): LoadMembership =>
  async (partition, teamId, userId) => {
    const epoch = partition.epoch;
    const nothing = (): Membership => ({ isMember: false, channels: new Map() });
    // All of the log is at hand: no view is needed, and none may exist yet.
    if (isTailWhole(partition)) return { membership: nothing(), asOf: 0 };

    const position = await positions.wait(partition.index, WAIT_MAX_MS);
    if (!position || position.epoch !== epoch) return undefined;
    const stored = await getMessage(nats.jsm, membersStream, { lastBySubject: mbrSubject(teamId, userId) });
    const view = stored && parseView(stored.data);
    if (view && view.epoch !== epoch) return undefined;
    const membership = nothing();
    membership.isMember = view?.role !== undefined;
    for (const channel of view?.channels ?? []) membership.channels.set(channel.id, channel.sinceSeq);
    let asOf = Math.max(view?.asOf ?? 0, position.asOf);
    if (asOf + 1 < partition.tail.firstSeq) {
      const reached = await catchUp(nats, partition, evtSubject(teamId, userScope(userId)), membership, asOf);
      if (reached === undefined) return undefined;
      asOf = reached;
    }
    // The view may be ahead of this gateway's feed: membership changes must take effect at their own sequence.
    if (!(await partition.reach(asOf, WAIT_MAX_MS))) return undefined;
    return { membership, asOf };
  };

/** Applies the user's events between the view and the tail, read from the stream; answers how far that reaches. */
const catchUp = async (
  nats: NatsHandle,
  partition: Partition,
  userSubject: string,
  membership: Membership,
  asOf: number,
): Promise<number | undefined> => {
  const upTo = partition.flushedSeq;
  const { messages, pendingCount } = await getBySubjectFrom(nats.jsm, evtStream(partition.index), {
    subject: userSubject,
    fromSeq: asOf + 1,
    maxCount: CATCH_UP_MAX_COUNT,
    maxBytes: CATCH_UP_MAX_BYTES,
  });
  // Any replica may have answered: the leader says what the last event of the subject is.
  const last = await getMessage(nats.jsm, evtStream(partition.index), { lastBySubject: userSubject });
  const reachedSeq = messages.at(-1)?.seq ?? asOf;
  if (pendingCount > 0 || (last && last.seq > reachedSeq && reachedSeq < upTo)) return undefined;
  // Asked last: what the stream no longer holds behind the view (expired, purged) may have been a removal.
  const state = await streamState(nats.jsm, evtStream(partition.index));
  if (!state.exists || state.firstSeq > asOf + 1) return undefined;
  for (const { seq, data } of messages) {
    if (seq > upTo) break;
    const event = parseEvent(data);
    const change = event && membershipChangeOf(event);
    if (change) applyChange(membership, change, seq);
  }
  return upTo;
};

/** Brings the base up to the flushed head from the tail; false when the tail no longer reaches back to it. */
export const completeMembership = (
  base: MembershipBase,
  partition: Partition,
  teamId: TeamId,
  userId: UserId,
): boolean => {
  if (partition.tail.firstSeq > base.asOf + 1 || partition.flushedSeq < base.asOf) return false;
  const userSubject = evtSubject(teamId, userScope(userId));
  for (const { seq, change } of changesInTail(partition, userSubject, base.asOf, partition.flushedSeq))
    applyChange(base.membership, change, seq);
  base.asOf = partition.flushedSeq;
  return true;
};
