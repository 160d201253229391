/**
 * Asks the partition's owner for outcomes the feed did not tell: the PubAck said "repeat" (the event is in the past), or
 * nothing was seen ASK_AFTER_MS after the PubAck. Only the first unresolved command of a session is asked for at a time;
 * backoff per session, ASKS_MAX_COUNT at once over all; what finds no place is looked at again in the next sweep.
 */

import { type OutcomeReply, type OutcomeRequest } from '@chat/contracts/events';
import { outcomeSubject } from '@chat/contracts/subjects';
import { backoffMs } from '@chat/platform/resilience/backoff';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { rejectedFrame } from '../session/server-frames.ts';
import type { Session } from '../session/session.ts';
import type { Outcomes } from './outcomes.ts';
import type { Waiter } from './waiter.ts';

const ASK_AFTER_MS = 1_000;
const ASKS_MAX_COUNT = 64;
const WAIT_MS = 2_000;
const BACKOFF_MAX_MS = 5_000;

export type OutcomeAskerDeps = {
  readonly nats: NatsHandle;
  readonly outcomes: Outcomes;
  readonly nowMs: () => number;
};

export type OutcomeAsker = {
  /** Looks whether the session's first unresolved command must be asked for. */
  look(session: Session): void;
};

export const createOutcomeAsker = ({ nats, outcomes, nowMs }: OutcomeAskerDeps): OutcomeAsker => {
  let askCount = 0;

  const firstUnresolved = (session: Session): Waiter | undefined => {
    const { unresolved } = session;
    while (unresolved.peek()?.state === 'done') unresolved.shift();
    return unresolved.peek();
  };

  const look = (session: Session): void => {
    const waiter = firstUnresolved(session);
    const now = nowMs();
    if (!waiter || session.isAsking || !session.isOpen || now < session.nextAskAtMs) return;
    if (!waiter.isRepeat && now - waiter.storedAtMs < ASK_AFTER_MS) return;
    if (askCount >= ASKS_MAX_COUNT) return;
    session.isAsking = true;
    askCount += 1;
    void ask(waiter).then((isKnown) => {
      askCount -= 1;
      session.isAsking = false;
      session.askAttempt = isKnown ? 0 : session.askAttempt + 1;
      session.nextAskAtMs = isKnown
        ? 0
        : nowMs() + 100 + backoffMs({ attempt: session.askAttempt, baseMs: 200, maxMs: BACKOFF_MAX_MS });
      if (isKnown) look(session);
    });
  };

  const ask = async (waiter: Waiter): Promise<boolean> => {
    const { session } = waiter;
    const request: OutcomeRequest = {
      teamId: session.teamId,
      commandId: waiter.id,
      actor: session.userId,
      hash: waiter.hash,
      waitMs: WAIT_MS,
    };
    const reply = await requestOutcome(nats, session.partition.index, request);
    if (waiter.state === 'done') return true;
    if (reply?.kind === 'persisted') {
      const isRepeat = waiter.isRepeat || (reply.cmdSeq > 0 && reply.cmdSeq !== waiter.storedSeq);
      outcomes.persisted(waiter, reply.seq, isRepeat);
      return true;
    }
    if (reply?.kind === 'rejected') {
      const { code, message, seq } = reply;
      outcomes.rejected(
        waiter,
        rejectedFrame(waiter.id, code, { message, ...(seq === undefined ? {} : { seq }) }),
      );
      return true;
    }
    return false;
  };

  return { look };
};

/** Undefined when nobody answers: no owner at the moment, or NATS is away. */
const requestOutcome = async (
  nats: NatsHandle,
  partition: number,
  request: OutcomeRequest,
): Promise<OutcomeReply | undefined> => {
  try {
    const reply = await nats.nc.request(outcomeSubject(partition), JSON.stringify(request), {
      timeout: WAIT_MS + 1_000,
    });
    return reply.json<OutcomeReply>();
  } catch {
    return undefined;
  }
};
