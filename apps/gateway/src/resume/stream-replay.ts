/**
 * Reads what a session missed from the stream, for the part that the tail no longer holds: one direct get per scope,
 * merged by sequence. Complete or not at all: every scope must be proven to reach the tail's first sequence (any
 * replica may answer a direct get; the leader says what the last event of the scope is).
 * Bounds: `maxConcurrency` replays at once (the others wait their turn), `maxCount`, `maxBytes`, SCOPES_MAX_COUNT, MAX_MS.
 * It uses a connection of its own: direct-get batches know no flow control (facts/nats.md).
 */

import type { ResumeReason } from '@chat/contracts/frames';
import type { ChannelId } from '@chat/contracts/ids';
import { evtStream } from '@chat/contracts/streams';
import { channelScope, evtSubject, teamScope, userScope } from '@chat/contracts/subjects';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type StoredMessage, getBySubjectFrom, getMessage, streamState } from '@chat/platform/nats/streams';
import { membershipChangeOf, parseEvent } from '../membership/membership-events.ts';
import type { Session } from '../session/session.ts';
import { type ChangeAt, type Interval, visibleIntervals } from './membership-intervals.ts';
import { type ReplayPlan, changesInTail } from './replay-plan.ts';

const SCOPES_MAX_COUNT = 200;
const MAX_MS = 10_000;
/** How far the first read reaches into the tail; each further round twice as far. */
const MARGIN_COUNT = 256;
const ROUNDS_MAX_COUNT = 8;
const BATCH_MAX_COUNT = 1_000;
const BATCH_MAX_BYTES = 2 ** 20;

export type StreamReplayDeps = {
  readonly nats: NatsHandle;
  readonly maxConcurrency: number;
  readonly maxCount: number;
  readonly maxBytes: number;
  readonly log: Logger;
  readonly nowMs: () => number;
};

export type StreamReplayResult =
  | { readonly ok: true; readonly plan: ReplayPlan }
  | { readonly ok: false; readonly reason: Extract<ResumeReason, 'too_old' | 'too_many'> };

/** The user's channels as of the flushed head of this very moment; undefined when they can no longer be told. */
export type ChannelsNow = () => ReadonlyMap<ChannelId, number> | undefined;

export type StreamReplay = {
  /** Plans (fromSeq, upToSeq], where the tail holds what is behind upToSeq at the moment of the answer. */
  read(session: Session, fromSeq: number, channelsNow: ChannelsNow): Promise<StreamReplayResult>;
};

type Budget = { count: number; bytes: number; readonly untilMs: number };
type Events = { seq: number; data: Buffer }[];

/** Why a read was given up; `undefined` data means it cannot be complete. */
class GiveUp extends Error {
  readonly reason: 'too_old' | 'too_many';
  constructor(reason: 'too_old' | 'too_many') {
    super(reason);
    this.reason = reason;
  }
}

export const createStreamReplay = (deps: StreamReplayDeps): StreamReplay => {
  const { nats, log, nowMs } = deps;
  let runningCount = 0;
  const turns: (() => void)[] = [];

  const takeTurn = async (): Promise<void> => {
    if (runningCount >= deps.maxConcurrency) await new Promise<void>((resolve) => turns.push(resolve));
    else runningCount += 1;
  };
  const giveTurn = (): void => {
    const next = turns.shift();
    if (next) next();
    else runningCount -= 1;
  };

  /** All events of the subject in (afterSeq, upToSeq], proven complete. */
  const readScope = async (
    stream: string,
    subject: string,
    afterSeq: number,
    upToSeq: number,
    budget: Budget,
  ): Promise<Events> => {
    const events: Events = [];
    let reachedSeq = afterSeq;
    for (;;) {
      if (nowMs() > budget.untilMs) throw new GiveUp('too_old');
      const { messages, pendingCount } = await getBySubjectFrom(nats.jsm, stream, {
        subject,
        fromSeq: reachedSeq + 1,
        maxCount: BATCH_MAX_COUNT,
        maxBytes: BATCH_MAX_BYTES,
      });
      for (const message of messages) {
        reachedSeq = message.seq;
        if (message.seq > upToSeq) return events;
        take(events, message, budget);
      }
      if (pendingCount > 0 && messages.length > 0) continue;
      // Nothing behind it as this replica sees it: only the leader knows.
      const last = await getMessage(nats.jsm, stream, { lastBySubject: subject });
      if (!last || last.seq <= reachedSeq) return events;
    }
  };

  const take = (events: Events, message: StoredMessage, budget: Budget): void => {
    budget.count -= 1;
    budget.bytes -= message.data.length;
    if (budget.count < 0 || budget.bytes < 0) throw new GiveUp('too_many');
    events.push({ seq: message.seq, data: Buffer.from(message.data) });
  };

  /**
   * Reads into `events` from fromSeq on to `marginCount` events inside the tail, so that a tail that moves on meanwhile
   * does not run away from it; answers how far that is.
   */
  const readOnce = async (
    session: Session,
    fromSeq: number,
    marginCount: number,
    channelsNow: ChannelsNow,
    budget: Budget,
    events: Events,
  ): Promise<number> => {
    const { partition, teamId, userId } = session;
    const stream = evtStream(partition.index);
    const channels = channelsNow();
    if (!channels) throw new GiveUp('too_old');
    const channelsAtEnd = new Map(channels);
    const endSeq = partition.flushedSeq;
    const { firstSeq } = partition.tail;
    // Of an empty tail (all of it was too old): up to just before it, which is all there is.
    const halfSeq = firstSeq - 1 + Math.floor(Math.max(0, endSeq - firstSeq) / 2);
    const upToSeq = Math.max(fromSeq, Math.min(firstSeq - 1 + marginCount, halfSeq));
    const userSubject = evtSubject(teamId, userScope(userId));
    const changes = changesInTail(partition, userSubject, upToSeq, endSeq);
    const own = await readScope(stream, userSubject, fromSeq, upToSeq, budget);
    const older: ChangeAt[] = own.flatMap(({ seq, data }) => {
      const event = parseEvent(data);
      const change = event && membershipChangeOf(event);
      return change ? [{ seq, change }] : [];
    });
    const visible = visibleIntervals(fromSeq, endSeq, channelsAtEnd, [...older, ...changes]);
    if (!visible.ok) throw new GiveUp('too_old');
    if (visible.channels.size > SCOPES_MAX_COUNT) throw new GiveUp('too_many');
    const addScope = async (subject: string, intervals: readonly Interval[]): Promise<void> => {
      for (const { afterSeq, upToSeq: end } of intervals) {
        const last = Math.min(end, upToSeq);
        if (last > afterSeq) events.push(...(await readScope(stream, subject, afterSeq, last, budget)));
      }
    };
    events.push(...own);
    await addScope(evtSubject(teamId, teamScope), visible.team);
    for (const [channelId, intervals] of visible.channels)
      await addScope(evtSubject(teamId, channelScope(channelId)), intervals);
    return upToSeq;
  };

  const readAll = async (
    session: Session,
    fromSeq: number,
    channelsNow: ChannelsNow,
  ): Promise<ReplayPlan> => {
    const { partition } = session;
    const stream = evtStream(partition.index);
    const budget: Budget = { count: deps.maxCount, bytes: deps.maxBytes, untilMs: nowMs() + MAX_MS };
    const events: Events = [];
    await mustHold(stream, fromSeq);
    let upToSeq = fromSeq;
    // The tail moves on while the stream is read: what fell out of it meanwhile is read as well.
    for (let round = 0; partition.tail.firstSeq > upToSeq + 1; round += 1) {
      if (round === ROUNDS_MAX_COUNT) throw new GiveUp('too_many');
      upToSeq = await readOnce(session, upToSeq, MARGIN_COUNT << round, channelsNow, budget, events);
    }
    // What expired while it was read is not known to have been read.
    await mustHold(stream, fromSeq);
    events.sort((a, b) => a.seq - b.seq);
    return { seqs: events.map((e) => e.seq), datas: events.map((e) => e.data), upToSeq, next: 0 };
  };

  /** The stream still holds everything behind fromSeq. */
  const mustHold = async (stream: string, fromSeq: number): Promise<void> => {
    const state = await streamState(nats.jsm, stream);
    if (!state.exists || state.firstSeq > fromSeq + 1) throw new GiveUp('too_old');
  };

  return {
    read: async (session, fromSeq, channelsNow) => {
      await takeTurn();
      try {
        return { ok: true, plan: await readAll(session, fromSeq, channelsNow) };
      } catch (error) {
        if (error instanceof GiveUp) return { ok: false, reason: error.reason };
        log.warn({ reason: reasonOf(error) }, 'a replay from the stream failed');
        return { ok: false, reason: 'too_old' };
      } finally {
        giveTurn();
      }
    },
  };
};
