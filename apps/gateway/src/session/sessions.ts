/**
 * All open sessions: what they gather to send, and how they end.
 *
 * An outbox is empty, due (the turn flushes it), or waiting: it holds only frames that nobody needs at once (`accepted`),
 * which leave with the next frame that is due (`persisted`, mostly) or after WAIT_MS. A write to a socket costs more than
 * all that the gateway does with a message itself.
 */

import { closeCodes } from '@chat/contracts/protocol';
import { closeReasonOf } from '../metrics/close-reason.ts';
import type { GatewayStats } from '../metrics/gateway-stats.ts';
import type { Partition } from '../feed/partition.ts';
import type { Session } from './session.ts';

/** More unsent frames of our own than this: the socket is beyond help. */
const OUTBOX_MAX_COUNT = 4_096;
/** What waits for company leaves after one to two of these. A client sends the next of a lane after `accepted`. */
const WAIT_MS = 20;

export type SessionsDeps = {
  readonly maxBufferedBytes: number;
  readonly addOutbox: (session: Session) => void;
  readonly onGone: (session: Session) => void;
  readonly stats: GatewayStats;
  readonly nowMs: () => number;
};

export type Sessions = {
  readonly all: ReadonlySet<Session>;
  add(session: Session): void;
  /** The socket closed by itself or by us. */
  gone(session: Session, code: number, isProtocolFault: boolean): void;
  /** Sends now; false when the socket is gone or full. */
  send(session: Session, frame: string): boolean;
  /** Sends at the end of the turn, together with what else there is. */
  sendSoon(session: Session, frame: string): void;
  /** Sends with the next frame of `sendSoon`, or a little later. */
  sendWithNext(session: Session, frame: string): void;
  flushOutbox(session: Session): void;
  close(session: Session, code: number, reason: string): void;
  /** Ends the connection at once; what is not written yet is lost. */
  cut(session: Session): void;
  closePartition(partition: Partition, code: number, reason: string): void;
};

export const createSessions = (deps: SessionsDeps): Sessions => {
  const all = new Set<Session>();
  /** Each once: those whose outbox waits, and some whose outbox has left since. */
  let waiting: Session[] = [];

  const send = (session: Session, frame: string): boolean => {
    if (!session.isOpen) return false;
    session.lastSentAtMs = deps.nowMs();
    return session.socket.send(frame) !== 'dropped';
  };

  /** What is written into a full socket would be lost: it waits for the drain (or the client asks again). */
  const flushOutbox = (session: Session): void => {
    const { outbox, socket } = session;
    session.isOutboxDue = false;
    if (!session.isOpen || outbox.length === 0) return;
    if (socket.bufferedBytes() > deps.maxBufferedBytes / 2) return;
    session.outbox = [];
    session.waitingSinceMs = 0;
    session.lastSentAtMs = deps.nowMs();
    // Also for a single frame: events published in this turn then leave in the same write.
    socket.cork(() => {
      for (const frame of outbox) socket.send(frame);
    });
  };

  const gather = (session: Session, frame: string): void => {
    session.outbox.push(frame);
    if (session.outbox.length > OUTBOX_MAX_COUNT) session.outbox.shift();
  };

  const makeDue = (session: Session): void => {
    if (session.isOutboxDue) return;
    session.isOutboxDue = true;
    deps.addOutbox(session);
  };

  const sweep = (): void => {
    const before = performance.now() - WAIT_MS;
    const rest: Session[] = [];
    for (const session of waiting) {
      if (session.waitingSinceMs > before) rest.push(session);
      else {
        session.isInSweep = false;
        if (session.outbox.length > 0) makeDue(session);
      }
    }
    waiting = rest;
    if (waiting.length > 0) sweepLater();
  };
  const sweepLater = (): void => void setTimeout(sweep, WAIT_MS).unref();

  const close = (session: Session, code: number, reason: string): void => {
    if (!session.isOpen) return;
    flushOutbox(session);
    session.ownCloseCode = code;
    // `close` runs `gone` at once; the state says that no topic need be left any more.
    session.state = 'closing';
    session.socket.close(code, reason);
  };

  return {
    all,
    add: (session) => {
      deps.stats.openedCount += 1;
      all.add(session);
      session.partition.sessions.add(session);
    },
    gone: (session, code, isProtocolFault) => {
      if (!all.delete(session)) return;
      const reason = isProtocolFault ? 'protocol' : closeReasonOf(session.ownCloseCode, code);
      deps.stats.closed.add(reason);
      if (reason === 'slow' || reason === 'behind') deps.stats.deliveryErrorCount += 1;
      session.state = 'closing';
      session.partition.sessions.delete(session);
      deps.onGone(session);
    },
    send,
    sendSoon: (session, frame) => {
      if (!session.isOpen) return;
      gather(session, frame);
      makeDue(session);
    },
    sendWithNext: (session, frame) => {
      if (!session.isOpen) return;
      gather(session, frame);
      if (session.isOutboxDue) return;
      session.waitingSinceMs ||= performance.now();
      if (session.isInSweep) return;
      session.isInSweep = true;
      waiting.push(session);
      if (waiting.length === 1) sweepLater();
    },
    flushOutbox,
    close,
    cut: (session) => {
      if (!session.isOpen) return;
      session.ownCloseCode = closeCodes.SLOW_CONSUMER;
      session.state = 'closing';
      session.socket.terminate();
    },
    closePartition: (partition, code, reason) => {
      for (const session of [...partition.sessions]) close(session, code, reason);
    },
  };
};
