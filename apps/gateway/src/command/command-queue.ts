/**
 * Publishes the commands of a session one after another: the next one only after the PubAck of the one before it, so that
 * a sender's order is the order of first acceptance. Over all sessions as many are in flight as the window holds.
 *
 * A command that got no PubAck is published again under the same Msg-Id (the broker drops the repeat) until
 * GIVE_UP_AFTER_MS; then it *and all queued behind it* are refused as retryable: a later one must not overtake it.
 * Bounds: `maxQueuedBytes` over all sessions (overflow: OVERLOADED), the session's own in-flight count.
 */

import { commandMsgId } from '@chat/contracts/commands';
import type { ErrorCode } from '@chat/contracts/errors';
import type { PubAckResult, WindowedPublisher } from '@chat/platform/nats/publisher';
import { msgIdHeader } from '@chat/platform/nats/raw-headers';
import { Deque } from '@chat/platform/deque';
import type { Logger } from '@chat/platform/log';
import { acceptedFrame, rejectedFrame } from '../session/server-frames.ts';
import type { Partition } from '../feed/partition.ts';
import type { Session } from '../session/session.ts';
import type { Outcomes } from './outcomes.ts';
import type { Waiter } from './waiter.ts';

/** A client itself sends again after 10 s of silence. */
const GIVE_UP_AFTER_MS = 8_000;
const HELD_SWEEP_MS = 500;
const RETRY_AFTER_MS = 250;
const OVERLOADED_RETRY_AFTER_MS = 1_000;
const UNAVAILABLE_RETRY_AFTER_MS = 1_000;
/** JetStream: limits that a retry in this moment does not lift (store full, too many bytes, resources). */
const FULL_CODES: ReadonlySet<number> = new Set([10023, 10047, 10052, 10077, 10122]);

export type CommandQueueDeps = {
  readonly publisher: WindowedPublisher;
  readonly outcomes: Outcomes;
  readonly maxQueuedBytes: number;
  /** The publisher's window. */
  readonly maxInFlight: number;
  readonly sendWithNext: (session: Session, frame: string) => void;
  /** A command was stored as a repeat: its outcome may be known already. */
  readonly onRepeat: (session: Session) => void;
  /** NATS may have lost what it had acknowledged (store-guard.ts): nothing is published for the partition now. */
  readonly isHeld: (partition: Partition) => boolean;
  readonly nowMs: () => number;
  readonly log: Logger;
};

export type CommandQueue = {
  /** False when the gateway holds too many bytes of commands. */
  add(waiter: Waiter): boolean;
  /** The socket is gone: what was not published yet is not; its client sends it again. */
  drop(session: Session): void;
  queuedBytes(): number;
  /** A partition is not held any more. */
  resume(): void;
  stop(): void;
};

export const createCommandQueue = (deps: CommandQueueDeps): CommandQueue => {
  const { publisher, outcomes, sendWithNext, nowMs } = deps;
  /** Sessions whose next command found the window full, in order. */
  const waiting = new Deque<Session>();
  /** Whose partition is held. Apart: every ack looks at those who wait for the window, and of these there may be thousands. */
  const heldBack = new Deque<Session>();
  let queuedBytes = 0;
  /** Sessions with a new command in this turn of the loop. */
  let due: Session[] = [];

  /**
   * What the sockets brought in one turn leaves in one write: every socket's handler ends with a microtask checkpoint,
   * in which the NATS client would write what it has, a write (and a read of the server) for each command.
   */
  const publishDue = (): void => {
    const sessions = due;
    due = [];
    for (const session of sessions) publishNext(session);
  };

  const publishNext = (session: Session): void => {
    const waiter = session.queue.peek();
    if (!waiter || session.isPublishing) return;
    waiter.firstTriedAtMs ||= nowMs();
    if (deps.isHeld(session.partition)) return wait(session, heldBack);
    waiter.attemptCount += 1;
    const msgId = commandMsgId(session.userId, waiter.id, waiter.hash);
    const span = waiter.trace?.child('gateway.publish', { 'chat.attempt': waiter.attemptCount });
    const headers = msgIdHeader(msgId, span?.traceparent);
    const isSent = publisher.publish(waiter.subject, waiter.payload, headers, (result) => {
      if (span !== undefined) span.end({ 'chat.ack': result.kind });
      onResult(session, waiter, result);
    });
    if (isSent) {
      session.isPublishing = true;
      if (waiter.state === 'queued') waiter.state = 'publishing';
    } else wait(session, waiting);
  };

  const wait = (session: Session, among: Deque<Session>): void => {
    if (session.isWaitingForWindow) return;
    session.isWaitingForWindow = true;
    among.push(session);
  };

  /** A slot became free: it goes to whoever waits longest. Each is looked at once. */
  const serveWaiting = (): void => {
    for (let count = waiting.size; count > 0 && publisher.inFlightCount() < deps.maxInFlight; count -= 1) {
      const session = waiting.shift() as Session;
      session.isWaitingForWindow = false;
      publishNext(session);
    }
  };

  /** A partition is not held any more; whose still is goes back to its place. */
  const resume = (): void => {
    while (heldBack.size > 0) waiting.push(heldBack.shift() as Session);
    serveWaiting();
  };

  /** Nothing is in flight for a held partition whose timeout would end the waiting. */
  const giveUpHeld = (): void => {
    for (const session of heldBack) {
      const first = session.queue.peek();
      if (!first || session.isPublishing || !deps.isHeld(session.partition)) continue;
      if (nowMs() - first.firstTriedAtMs >= GIVE_UP_AFTER_MS)
        refuseAll(session, 'UNAVAILABLE', UNAVAILABLE_RETRY_AFTER_MS);
    }
  };
  const sweep = setInterval(() => {
    giveUpHeld();
    resume();
  }, HELD_SWEEP_MS);
  sweep.unref();

  const onResult = (session: Session, waiter: Waiter, result: PubAckResult): void => {
    session.isPublishing = false;
    serveWaiting();
    if (result.kind === 'ok') onStored(session, waiter, result);
    else onFault(session, waiter, result);
  };

  const dequeue = (session: Session): void => {
    const waiter = session.queue.shift();
    if (waiter) queuedBytes -= waiter.payload.length;
  };

  const onStored = (
    session: Session,
    waiter: Waiter,
    ack: { readonly seq: number; readonly duplicate: boolean },
  ): void => {
    dequeue(session);
    if (waiter.state !== 'done') {
      waiter.state = 'stored';
      waiter.storedAtMs = nowMs();
      waiter.storedSeq = ack.seq;
      // A repeat of our own publishing (its first PubAck was lost) is not a repeat of the client's.
      waiter.isRepeat = ack.duplicate && waiter.attemptCount === 1;
      session.unresolved.push(waiter);
      if (session.isJoined) sendWithNext(session, acceptedFrame(waiter.id));
      if (ack.duplicate) deps.onRepeat(session);
    }
    publishNext(session);
  };

  const onFault = (session: Session, waiter: Waiter, result: PubAckResult): void => {
    if (waiter.state === 'done') {
      // Its event was seen although the PubAck was lost.
      dequeue(session);
      return publishNext(session);
    }
    if (result.kind === 'error') {
      const isFull = FULL_CODES.has(result.code);
      const ids = { commandId: waiter.id, ...(waiter.trace ? { traceId: waiter.trace.traceId } : {}) };
      if (!isFull) deps.log.warn({ code: result.code, ...ids }, 'the command stream refuses a command');
      return refuseAll(session, 'OVERLOADED', OVERLOADED_RETRY_AFTER_MS);
    }
    const isOver = nowMs() - waiter.firstTriedAtMs >= GIVE_UP_AFTER_MS;
    if (result.kind === 'closed' || isOver || !session.isOpen)
      return refuseAll(session, 'UNAVAILABLE', UNAVAILABLE_RETRY_AFTER_MS);
    if (result.kind === 'timeout') return publishNext(session);
    setTimeout(() => publishNext(session), RETRY_AFTER_MS);
  };

  /** The first of the queue cannot go on, so nothing behind it may. */
  const refuseAll = (session: Session, code: ErrorCode, retryAfterMs: number): void => {
    while (session.queue.size > 0) {
      const waiter = session.queue.peek() as Waiter;
      dequeue(session);
      outcomes.refused(waiter, code, rejectedFrame(waiter.id, code, { retryAfterMs }));
    }
  };

  return {
    add: (waiter) => {
      if (queuedBytes + waiter.payload.length > deps.maxQueuedBytes) return false;
      queuedBytes += waiter.payload.length;
      waiter.session.queue.push(waiter);
      outcomes.add(waiter);
      due.push(waiter.session);
      if (due.length === 1) setImmediate(publishDue);
      return true;
    },
    drop: (session) => {
      const inFlight = session.isPublishing ? session.queue.shift() : undefined;
      while (session.queue.size > 0) {
        const waiter = session.queue.peek() as Waiter;
        dequeue(session);
        outcomes.remove(waiter);
      }
      if (inFlight) session.queue.push(inFlight);
    },
    queuedBytes: () => queuedBytes,
    resume,
    stop: () => clearInterval(sweep),
  };
};
