/**
 * Committed events of one partition → `EVT_<p>`, event n as sequence n, by compare-and-swap append (ADR 1).
 *
 * States: live ⇄ recovering → stopped.
 * - live:       a batch goes out at once as one burst; event n expects n − 1, only the last asks for a reply, and
 *               its ack implies the others. Bursts overlap; at most RELAY_MAX_COUNT events are unacknowledged
 *               (then `hasRoom` is false and the partition's commands wait).
 * - recovering: after any doubt (refusal, timeout, reconnect) the stream is asked where it stands, and the next
 *               events follow from there: from memory, or from `event_log` when the stream lost more than that.
 *
 * Any process may relay any committed row at any time: a late or doubled append is refused, never stored. So a
 * crash between commit and ack costs nothing but the question.
 */

import { ERR_WRONG_LAST_SEQUENCE } from '@chat/contracts/streams';
import { Deque } from '@chat/platform/deque';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { PubAckResult, WindowedPublisher } from '@chat/platform/nats/publisher';
import { type EncodedHeaders, expectedLastSeqHeader } from '@chat/platform/nats/raw-headers';
import { backoffMs, pause } from '@chat/platform/resilience/backoff';
import type { TraceSpan } from '@chat/platform/tracing';
import type { FaultPoints } from '../fault-points.ts';

export const RELAY_MAX_COUNT = 8_192;
export const RELAY_MAX_BYTES = 32 * 1024 * 1024;
/** Rows read or sent at once while recovering. */
export const RELAY_CHUNK_COUNT = 256;

export type RelayEvent = {
  readonly seq: number;
  readonly subject: string;
  readonly payload: string;
  /** Other events of its command follow it. */
  hasMore?: boolean;
  /** Of its command; the span of the relay is made when it is sent first. */
  readonly trace?: TraceSpan;
  relaySpan?: TraceSpan;
};

/** Event n expects n − 1. */
const headersOf = (event: RelayEvent): EncodedHeaders => {
  if (event.trace === undefined) return expectedLastSeqHeader(event.seq - 1, undefined, event.hasMore);
  event.relaySpan ??= event.trace.child('writer.relay', { 'chat.seq': event.seq });
  return expectedLastSeqHeader(event.seq - 1, event.relaySpan.traceparent, event.hasMore);
};

export type RelayDeps = {
  readonly p: number;
  readonly publisher: WindowedPublisher;
  /** Last sequence of EVT_<p>; makes the stream anew when it is gone. */
  readonly lastSeq: () => Promise<number>;
  /** Rows of event_log with `from` ≤ id ≤ `to`, ascending, at most RELAY_CHUNK_COUNT. */
  readonly readRows: (from: number, to: number) => Promise<readonly RelayEvent[]>;
  readonly faultPoints: FaultPoints;
  /** The stream holds what we have not committed: only a divergence check may decide. */
  readonly onAhead: (streamLastSeq: number, committedSeq: number) => void;
  readonly wake: () => void;
  readonly log: Logger;
  /** So many events were acknowledged; the oldest was appended so long ago. */
  readonly onRelayed?: (eventCount: number, durationMs: number) => void;
};

export type Relay = {
  /** Contiguous with what was appended before. Returns at once. */
  readonly append: (events: readonly RelayEvent[]) => void;
  readonly hasRoom: () => boolean;
  readonly unackedCount: () => number;
  /** The stream holds everything up to it. */
  readonly ackedSeq: () => number;
  /** How long the oldest of them waits; 0 without any. */
  readonly oldestUnackedMs: () => number;
  /** The connection broke or the like: asks the stream where it stands, and repairs. */
  readonly doubt: (reason: string) => void;
  /** The same while nothing is under way; cheap, for a timer. */
  readonly verifyIdle: () => Promise<void>;
  /** Resolves once everything committed is in the stream. */
  readonly caughtUp: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** `committedSeq`: last row of event_log; `streamSeq`: where the stream was found. */
export const createRelay = (deps: RelayDeps, committedSeq: number, streamSeq: number): Relay => {
  const { p, publisher, log, faultPoints } = deps;
  const stopping = new AbortController();
  /** Committed and not yet acknowledged, oldest first. May lack the oldest after a start: those are in event_log. */
  const unacked = new Deque<RelayEvent>(1_024);
  let unackedBytes = 0;
  /** When what is unacked was appended, oldest first; at most one for each unacked event. */
  const appends = new Deque<{ readonly lastSeq: number; readonly atMs: number }>(64);
  if (streamSeq < committedSeq) appends.push({ lastSeq: committedSeq, atMs: performance.now() });
  let committed = committedSeq;
  let acked = streamSeq;
  /** Acks of bursts sent before the last doubt say nothing any more. */
  let round = 0;
  let isLive = streamSeq === committedSeq;
  let recovering: Promise<void> | undefined;

  const settle = (seq: number): void => {
    const settledCount = Math.max(0, seq - acked);
    if (seq > acked) acked = seq;
    let oldestMs: number | undefined;
    for (let first = appends.peek(); first && first.lastSeq <= acked; first = appends.peek()) {
      oldestMs ??= first.atMs;
      appends.shift();
    }
    if (oldestMs !== undefined) deps.onRelayed?.(settledCount, performance.now() - oldestMs);
    const hadRoom = hasRoom();
    for (let head = unacked.peek(); head && head.seq <= acked; head = unacked.peek()) {
      unackedBytes -= head.payload.length;
      if (head.trace !== undefined) {
        head.relaySpan?.end();
        head.trace.end();
      }
      unacked.shift();
    }
    if (!hadRoom && hasRoom()) deps.wake();
  };

  const hasRoom = (): boolean => unacked.size < RELAY_MAX_COUNT && unackedBytes < RELAY_MAX_BYTES;

  /** Sends a run of events; `onAck` hears of the last, which stands for all. */
  const burst = (events: readonly RelayEvent[], onAck: (result: PubAckResult) => void): void => {
    const last = events.length - 1;
    for (let i = 0; i < last; i += 1) {
      const event = events[i]!;
      publisher.publishNoReply(event.subject, Buffer.from(event.payload), headersOf(event));
    }
    const event = events[last]!;
    const sent = publisher.publish(event.subject, Buffer.from(event.payload), headersOf(event), onAck);
    if (!sent) onAck({ kind: 'timeout' });
  };

  const sendLive = (events: readonly RelayEvent[]): void => {
    const sentRound = round;
    const lastSeq = events[events.length - 1]!.seq;
    burst(events, (result) => {
      if (stopping.signal.aborted || sentRound !== round) return;
      if (result.kind === 'ok' && result.seq === lastSeq) {
        faultPoints('reply');
        settle(lastSeq);
      } else recover(describe(result));
    });
    faultPoints('append');
  };

  const recover = (reason: string): void => {
    round += 1;
    isLive = false;
    if (recovering || stopping.signal.aborted) return;
    log.info({ partition: p, acked, committed, reason }, 'relay asks the stream where it stands');
    recovering = recoverUntilLive().finally(() => {
      recovering = undefined;
      // A doubt that came between the end of recovery and this line.
      if (!isLive) recover('doubt during recovery');
      deps.wake();
    });
  };

  const recoverUntilLive = async (): Promise<void> => {
    for (let attempt = 0; !stopping.signal.aborted && !isLive; attempt += 1) {
      try {
        await recoverOnce(round);
      } catch (error) {
        log.debug({ partition: p, reason: reasonOf(error) }, 'relay recovery goes on');
        await pause(backoffMs({ attempt, baseMs: 50, maxMs: 1_000 }), stopping.signal);
      }
    }
  };

  /** Ends live, or because a new doubt (another round) came up. */
  const recoverOnce = async (inRound: number): Promise<void> => {
    let at = await deps.lastSeq();
    while (inRound === round && !stopping.signal.aborted) {
      if (at > committed) deps.onAhead(at, committed);
      const found = Math.min(at, committed);
      if (found < acked) {
        // The stream lost its tail: that waits again, from now on.
        acked = found;
        if (appends.size === 0) appends.push({ lastSeq: committed, atMs: performance.now() });
      }
      settle(found);
      if (at >= committed) {
        // No await between the test and this: an append in between would stay unsent.
        isLive = true;
        return;
      }
      const chunk = await nextChunk(at + 1);
      const acknowledged = new Promise<PubAckResult>((resolve) => burst(chunk, resolve));
      faultPoints('append');
      const result = await acknowledged;
      if (result.kind === 'ok') faultPoints('reply');
      const lastSeq = chunk[chunk.length - 1]!.seq;
      if (result.kind === 'ok' && result.seq === lastSeq) at = lastSeq;
      else if (result.kind === 'error' && result.code === ERR_WRONG_LAST_SEQUENCE) at = await deps.lastSeq();
      else throw new Error(describe(result));
    }
  };

  /** Nothing is under way, so the stream must stand at `committed`: finds a tail that was lost while idle. */
  const verifyIdle = async (): Promise<void> => {
    if (!isLive || acked !== committed) return;
    const expected = committed;
    try {
      const at = await deps.lastSeq();
      if (!isLive || committed !== expected || at === expected) return;
      recover(`idle stream at ${at}, expected ${expected}`);
    } catch (error) {
      log.debug({ partition: p, reason: reasonOf(error) }, 'idle stream not verified');
    }
  };

  const nextChunk = async (from: number): Promise<readonly RelayEvent[]> => {
    const headSeq = unacked.peek()?.seq ?? committed + 1;
    if (headSeq <= from) {
      const chunk: RelayEvent[] = [];
      for (let i = from - headSeq; chunk.length < RELAY_CHUNK_COUNT; i += 1) {
        const event = unacked.at(i);
        if (!event) break;
        chunk.push(event);
      }
      return chunk;
    }
    const rows = await deps.readRows(from, Math.min(headSeq - 1, from + RELAY_CHUNK_COUNT - 1));
    if (rows[0]?.seq !== from) throw new Error(`event_log has no row ${from} of partition ${p}`);
    return rows;
  };

  if (!isLive) recover('start');

  return {
    append: (events) => {
      if (events.length === 0 || stopping.signal.aborted) return;
      for (const event of events) {
        unacked.push(event);
        unackedBytes += event.payload.length;
      }
      committed = events[events.length - 1]!.seq;
      appends.push({ lastSeq: committed, atMs: performance.now() });
      if (isLive) sendLive(events);
    },
    hasRoom,
    unackedCount: () => committed - acked,
    ackedSeq: () => acked,
    oldestUnackedMs: () => {
      const first = appends.peek();
      return first === undefined ? 0 : performance.now() - first.atMs;
    },
    doubt: recover,
    verifyIdle,
    caughtUp: async () => {
      while (recovering) await recovering;
    },
    stop: async () => {
      stopping.abort();
      await recovering;
    },
  };
};

const describe = (result: PubAckResult): string => {
  if (result.kind === 'ok') return `the stream answered sequence ${result.seq}`;
  return result.kind === 'error' ? `error ${result.code}: ${result.description}` : result.kind;
};
