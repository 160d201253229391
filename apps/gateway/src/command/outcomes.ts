/**
 * Commands whose outcome a session here waits for. The feed tells most of them: the first event of a command carries
 * its id, hash and actor. Bound: each session's own `inFlightMaxCount`; a closed session's waiters are forgotten
 * KEEP_CLOSED_MS later (until then they keep its messages from being counted twice by the limits).
 */

import { RESEND_AFTER_MS } from '@chat/contracts/limits';
import { actorOfKey, peekCommandKey, peekHead, peekIsType } from '../feed/event-peek.ts';
import type { ErrorCode } from '@chat/contracts/errors';
import type { MessageLimit } from '@chat/platform/limits/message-limit';
import { parseEvent } from '../membership/membership-events.ts';
import type { GatewayStats } from '../metrics/gateway-stats.ts';
import { persistedFrame, rejectedFrame } from '../session/server-frames.ts';
import type { Session } from '../session/session.ts';
import type { Waiter } from './waiter.ts';

const KEEP_CLOSED_MS = 30_000;

export type OutcomesDeps = {
  readonly limit: MessageLimit;
  readonly stats: GatewayStats;
  readonly sendSoon: (session: Session, frame: string) => void;
  readonly nowMs: () => number;
};

export type Outcomes = {
  add(waiter: Waiter): void;
  /** Forgets the waiter and frees its place in the session, without an answer. */
  remove(waiter: Waiter): void;
  /** Answers the waiter. */
  persisted(waiter: Waiter, seq: number, isRepeat: boolean): void;
  rejected(waiter: Waiter, frame: string): void;
  /** Answers the waiter: nothing was stored as far as is known. */
  refused(waiter: Waiter, code: ErrorCode, frame: string): void;
  /** The events observed since the last call are with uWS now: their senders' waiting is over. */
  handedOver(): void;
  /** Looks at an event that is being flushed; `subject` names its team. */
  observe(seq: number, subject: string, data: Buffer): void;
  forgetClosed(session: Session): void;
  readonly size: number;
};

export const createOutcomes = ({ limit, stats, sendSoon, nowMs }: OutcomesDeps): Outcomes => {
  const byKey = new Map<string, Waiter>();
  /** When the frames came whose messages were observed and are not handed over yet. */
  let delivering: number[] = [];

  const remove = (waiter: Waiter): void => {
    if (waiter.state === 'done') return;
    waiter.state = 'done';
    if (waiter.trace !== undefined) waiter.trace.end();
    waiter.session.pendingCount -= 1;
    const first = byKey.get(waiter.key);
    if (first === waiter) {
      if (waiter.next) byKey.set(waiter.key, waiter.next);
      else byKey.delete(waiter.key);
      return;
    }
    for (let at = first; at; at = at.next) {
      if (at.next === waiter) at.next = waiter.next;
    }
  };

  const answer = (waiter: Waiter, frame: string): void => {
    if (waiter.state === 'done') return;
    remove(waiter);
    if (waiter.session.isJoined) sendSoon(waiter.session, frame);
  };

  const finish = (waiter: Waiter, result: 'persisted' | 'rejected', frame: string): void => {
    if (waiter.state === 'done') return;
    stats.commands[result].add(waiter.name);
    stats.commandSeconds.observe((performance.now() - waiter.takenAtMs) / 1_000);
    answer(waiter, frame);
  };

  const persisted = (waiter: Waiter, seq: number, isRepeat: boolean): void =>
    finish(waiter, 'persisted', persistedFrame(waiter.id, seq, isRepeat));

  const rejected = (waiter: Waiter, frame: string): void => finish(waiter, 'rejected', frame);

  /** The client waited in vain; asked when the wish comes again or its socket is gone. */
  const countUnknown = (waiter: Waiter): void => {
    if (
      waiter.state === 'done' ||
      waiter.next !== undefined ||
      performance.now() - waiter.takenAtMs < RESEND_AFTER_MS
    )
      return;
    stats.commands.unknown.add(waiter.name);
  };

  /**
   * Every waiter of the key and of this team has its answer in this one event; only the first that is no repeat made it.
   * A command id is unique within its team only: the same wish may wait in another team as well.
   */
  const settle = (first: Waiter, seq: number, subject: string, head: string, data: Buffer): void => {
    const isRejection = peekIsType(head, 'command.rejected');
    const event = isRejection ? parseEvent(data) : undefined;
    let isTaken = false;
    for (let waiter: Waiter | undefined = first; waiter;) {
      const { next, session }: Waiter = waiter;
      if (subject.split('.')[2] !== session.teamId) {
        waiter = next;
        continue;
      }
      if (event?.type === 'command.rejected') {
        const { code, message } = event.data;
        rejected(waiter, rejectedFrame(waiter.id, code, { message, seq }));
      } else {
        const isRepeat: boolean = waiter.isRepeat || isTaken;
        isTaken ||= !isRepeat;
        if (!isRepeat && waiter.name === 'message.send') delivering.push(waiter.takenAtMs);
        persisted(waiter, seq, isRepeat);
      }
      waiter = next;
    }
  };

  const observe = (seq: number, subject: string, data: Buffer): void => {
    const head = peekHead(data);
    const key = peekCommandKey(head);
    if (key === '') return;
    const waiter = byKey.get(key);
    if (waiter) settle(waiter, seq, subject, head, data);
    else if (peekIsType(head, 'message.sent')) limit.seen(actorOfKey(key), nowMs());
  };

  return {
    add: (waiter) => {
      waiter.session.pendingCount += 1;
      const first = byKey.get(waiter.key);
      if (!first) {
        byKey.set(waiter.key, waiter);
        return;
      }
      let last = first;
      while (last.next) last = last.next;
      // The same wish again: its client had no answer in time.
      countUnknown(last);
      last.next = waiter;
    },
    remove,
    persisted,
    rejected,
    refused: (waiter, code, frame) => {
      if (waiter.state === 'done') return;
      stats.refusals.add(code);
      stats.commands.refused.add(waiter.name);
      answer(waiter, frame);
    },
    handedOver: () => {
      if (delivering.length === 0) return;
      const now = performance.now();
      for (const takenAtMs of delivering) stats.deliverySeconds.observe((now - takenAtMs) / 1_000);
      delivering = [];
    },
    observe,
    forgetClosed: (session) => {
      const left = [...session.queue, ...session.unresolved];
      if (left.length === 0) return;
      const timer = setTimeout(() => {
        for (const waiter of left) {
          countUnknown(waiter);
          remove(waiter);
        }
      }, KEEP_CLOSED_MS);
      timer.unref();
    },
    get size() {
      return byKey.size;
    },
  };
};
