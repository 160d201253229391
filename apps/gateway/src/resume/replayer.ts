/**
 * Brings a session from its position to the flushed head and live, and takes it back when it cannot keep up.
 * Everything here is synchronous: between "position = flushed head" and "topics joined" no event can be flushed, so
 * replay and live meet without a gap and without a double (I4).
 */

import { closeCodes } from '@chat/contracts/protocol';
import { EVENTS_PREFIX } from '@chat/contracts/frames';
import { channelScope, evtSubject, teamScope } from '@chat/contracts/subjects';
import { latin1Slice, peekSeq } from '../feed/event-peek.ts';
import type { Scope } from '../feed/tail.ts';
import { createFrameJoiner } from '../fanout/fanout.ts';
import { tickFrame } from '../session/server-frames.ts';
import type { Session } from '../session/session.ts';
import { planFromTail } from './replay-plan.ts';

/** Frames that one session may send in one turn before others have theirs. */
const TURN_FRAME_COUNT = 8;

export type ReplayerDeps = {
  /** A replay waits for drain above this; well under the bound at which uWS drops. */
  readonly highWaterBytes: number;
  readonly maxCount: number;
  readonly nowMs: () => number;
  /** Go on with this session in the next turn. */
  readonly again: (session: Session) => void;
  readonly close: (session: Session, code: number, reason: string) => void;
  /** Ends the connection at once: nothing more is sent, not even a close frame. */
  readonly cut: (session: Session) => void;
};

export type Replayer = {
  /** Goes on with a replay as far as the socket and the turn allow. */
  advance(session: Session): void;
  /** Joins the topics as of the flushed head. */
  goLive(session: Session): void;
  /** uWS dropped this frame of a live session. Only notes it: topics must not be touched here. */
  noteDropped(session: Session, frame: Buffer): void;
  /**
   * Takes the noted sessions out of their topics; they replay from before what was dropped. `mayBeOvertaken`: uWS may
   * keep a later frame for them, which would move their cursor over the gap; they are cut and come back with it.
   */
  leaveDropped(mayBeOvertaken: boolean): void;
  joinScope(session: Session, subject: string): void;
  leaveScope(session: Session, subject: string): void;
  leaveAll(session: Session): void;
};

export const createReplayer = (deps: ReplayerDeps): Replayer => {
  const joiner = createFrameJoiner();
  let dropped: Session[] = [];

  const joinScope = (session: Session, subject: string): void => {
    const scope = session.partition.tail.scope(subject);
    if (session.joined.has(scope)) return;
    session.joined.add(scope);
    scope.subscriberCount += 1;
    session.socket.subscribe(subject);
  };

  const letGo = (session: Session, scope: Scope): void => {
    scope.subscriberCount -= 1;
    session.partition.tail.release(scope);
  };

  const leaveScope = (session: Session, subject: string): void => {
    const scope = session.partition.tail.findScope(subject);
    if (!scope || !session.joined.delete(scope)) return;
    session.socket.unsubscribe(subject);
    letGo(session, scope);
  };

  /** Of an open session, also from its topics; a closed socket has left them by itself. */
  const leaveAll = (session: Session): void => {
    for (const scope of session.joined) {
      if (session.isOpen) session.socket.unsubscribe(scope.subject);
      letGo(session, scope);
    }
    session.joined.clear();
  };

  const goLive = (session: Session): void => {
    const { teamId } = session;
    session.state = 'live';
    session.stuckSinceMs = 0;
    if (session.userScope) joinScope(session, session.userScope.subject);
    joinScope(session, evtSubject(teamId, teamScope));
    for (const channelId of session.channels.keys())
      joinScope(session, evtSubject(teamId, channelScope(channelId)));
  };

  /** Sends the next frame of the plan; false when the socket takes no more for now. */
  const sendNext = (session: Session): boolean => {
    const { plan, partition, socket } = session;
    if (!plan) return true;
    if (socket.bufferedBytes() > deps.highWaterBytes) return false;
    const { seqs, datas } = plan;
    let next = plan.next;
    while (next < seqs.length) {
      const data = datas ? (datas[next] as Buffer) : partition.tail.dataOf(seqs[next] as number);
      if (!joiner.isEmpty && !joiner.fits(data)) break;
      joiner.add(data);
      next += 1;
    }
    if (next > plan.next) {
      if (socket.send(joiner.take()) === 'dropped') return false;
      session.lastSentAtMs = deps.nowMs();
      session.positionSeq = seqs[next - 1] as number;
    }
    plan.next = next;
    if (next === seqs.length) {
      session.positionSeq = plan.upToSeq;
      session.plan = undefined;
    }
    return true;
  };

  /** True when there is a plan to go on with. */
  const makePlan = (session: Session): boolean => {
    const result = planFromTail(session, session.positionSeq, deps.maxCount);
    if (result.ok) session.plan = result.plan;
    else deps.close(session, closeCodes.SLOW_CONSUMER, 'fell too far behind');
    return result.ok;
  };

  /** The tail no longer holds what comes next: the client comes back with its cursor. */
  const hasLostItsPlace = (session: Session): boolean => {
    const { plan, partition, positionSeq } = session;
    if (plan?.datas) return false;
    const nextSeq = plan ? (plan.seqs[plan.next] ?? partition.tail.firstSeq) : positionSeq + 1;
    return partition.tail.firstSeq > nextSeq;
  };

  const advance = (session: Session): void => {
    const { partition } = session;
    for (let frames = 0; session.state === 'replaying'; frames += 1) {
      if (session.droppedFromSeq > 0) return;
      if (!session.plan && session.positionSeq >= partition.flushedSeq) {
        finish(session);
        return;
      }
      if (hasLostItsPlace(session))
        return deps.close(session, closeCodes.SLOW_CONSUMER, 'fell too far behind');
      if (!session.plan && !makePlan(session)) return;
      if (!sendNext(session)) {
        session.stuckSinceMs ||= deps.nowMs();
        return;
      }
      session.stuckSinceMs = 0;
      if (frames >= TURN_FRAME_COUNT) return deps.again(session);
    }
  };

  const finish = (session: Session): void => {
    if (session.socket.send(tickFrame(session.positionSeq)) === 'dropped') {
      session.stuckSinceMs ||= deps.nowMs();
      return;
    }
    goLive(session);
  };

  const noteDropped = (session: Session, frame: Buffer): void => {
    // Only the first drop counts: no event gets through behind it (fanout.ts).
    if (session.state !== 'live' || session.droppedFromSeq > 0) return;
    // A frame of our own: no event was lost with it, and nothing tells whether those behind it will be.
    if (latin1Slice(frame, 0, EVENTS_PREFIX.length) !== EVENTS_PREFIX) return;
    session.droppedFromSeq = peekSeq(frame.subarray(EVENTS_PREFIX.length));
    dropped.push(session);
    deps.again(session);
  };

  const leaveDropped = (mayBeOvertaken: boolean): void => {
    if (dropped.length === 0) return;
    const due = dropped;
    dropped = [];
    for (const session of due) {
      const fromSeq = session.droppedFromSeq;
      session.droppedFromSeq = 0;
      if (session.state !== 'live') continue;
      if (mayBeOvertaken) {
        deps.cut(session);
        continue;
      }
      session.state = 'replaying';
      session.positionSeq = fromSeq - 1;
      session.plan = undefined;
      session.stuckSinceMs = deps.nowMs();
      leaveAll(session);
    }
  };

  return { advance, goLive, noteDropped, leaveDropped, joinScope, leaveScope, leaveAll };
};
