/** Which events of the tail a session has missed, in order. */

import { channelScope, evtSubject, teamScope } from '@chat/contracts/subjects';
import type { Partition } from '../feed/partition.ts';
import { membershipChangeOf, parseEvent } from '../membership/membership-events.ts';
import type { Session } from '../session/session.ts';
import { type ChangeAt, type Interval, visibleIntervals } from './membership-intervals.ts';

export type ReplayPlan = {
  /** Ascending, all in (position, upToSeq]. */
  readonly seqs: readonly number[];
  /** The events of `seqs` that were read from the stream, by place; without it they are in the tail. */
  readonly datas: readonly Buffer[] | undefined;
  /** Once all of `seqs` is sent, the session's position. */
  readonly upToSeq: number;
  next: number;
};

export type PlanResult =
  | { readonly ok: true; readonly plan: ReplayPlan }
  | { readonly ok: false; readonly reason: 'too_old' | 'too_many' };

/** The membership changes of the session's user in (afterSeq, upToSeq] that the tail holds. */
export const changesInTail = (
  partition: Partition,
  userSubject: string,
  afterSeq: number,
  upToSeq: number,
): ChangeAt[] => {
  const seqs: number[] = [];
  partition.tail.findScope(userSubject)?.collect(afterSeq, upToSeq, seqs, Infinity);
  const changes: ChangeAt[] = [];
  for (const seq of seqs) {
    const event = parseEvent(partition.tail.dataOf(seq));
    const change = event && membershipChangeOf(event);
    if (change) changes.push({ seq, change });
  }
  return changes;
};

/**
 * Plans (fromSeq, flushedSeq] from the tail, which must reach back to fromSeq + 1. `session.channels` must be the
 * membership as of flushedSeq. `too_old`: the membership within the range cannot be told.
 */
export const planFromTail = (session: Session, fromSeq: number, maxCount: number): PlanResult => {
  const { partition, teamId, userScope, channels } = session;
  const upToSeq = partition.flushedSeq;
  const userSubject = userScope?.subject ?? '';
  const changes = changesInTail(partition, userSubject, fromSeq, upToSeq);
  const visible = visibleIntervals(fromSeq, upToSeq, channels, changes);
  if (!visible.ok) return { ok: false, reason: 'too_old' };
  const seqs: number[] = [];
  const add = (subject: string, intervals: readonly Interval[]): void => {
    const scope = partition.tail.findScope(subject);
    if (!scope) return;
    for (const { afterSeq, upToSeq: end } of intervals)
      scope.collect(afterSeq, end, seqs, maxCount + 1 - seqs.length);
  };
  add(userSubject, [{ afterSeq: fromSeq, upToSeq }]);
  add(evtSubject(teamId, teamScope), visible.team);
  for (const [channelId, intervals] of visible.channels)
    add(evtSubject(teamId, channelScope(channelId)), intervals);
  if (seqs.length > maxCount) return { ok: false, reason: 'too_many' };
  seqs.sort((a, b) => a - b);
  return { ok: true, plan: { seqs, datas: undefined, upToSeq, next: 0 } };
};
