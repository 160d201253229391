/**
 * How a gateway says goodbye: no new sockets → every client is told when to come back, spread over the time there is →
 * each is closed at its time, once its pending commands had their chance → the rest is closed at the deadline.
 *
 * States: idle → draining (from SIGTERM, or hours before it by the operator's request) → idle with nobody left. A drain
 * that begins while another is under way takes its place: SIGTERM does not wait for the minutes of an operator's.
 */

import { closeCodes } from '@chat/contracts/protocol';
import type { Logger } from '@chat/platform/log';
import { encodeFrame } from '../session/server-frames.ts';
import type { Session } from '../session/session.ts';
import type { Sessions } from '../session/sessions.ts';

/** A socket with commands on their way is closed this much later at most. */
const PENDING_GRACE_MS = 3_000;
const STEP_MS = 50;
/** Left at the end for the close frames to get out. */
const MARGIN_MS = 500;
/** A handful goes at once; the more there are, the more of the time they are spread over (5,000: 50 s, so all of 30 s). */
const SPREAD_PER_SESSION_MS = 10;
/** A client is told no longer before its time than this: what it is told it keeps to, also when the drain is replaced. */
const NOTICE_MAX_MS = 30_000;

export type DrainDeps = {
  readonly sessions: Sessions;
  readonly graceMs: number;
  readonly random: () => number;
  readonly nowMs: () => number;
  readonly log: Logger;
};

export type Drain = {
  readonly isRunning: boolean;
  /** Resolves when no session is left, at the deadline (ms since the Unix epoch) at the latest. */
  drain(deadlineMs: number): Promise<void>;
  /** The operator's: spreads all over `spreadMs`, however few there are. Answers when the last one goes. */
  drainOver(spreadMs: number): number;
  stop(): void;
};

type Leaving = { readonly session: Session; readonly atMs: number; isTold: boolean };

export const createDrain = (deps: DrainDeps): Drain => {
  const { sessions, nowMs, log } = deps;
  let timer: NodeJS.Timeout | undefined;
  let leaving: Leaving[] = [];
  let endMs = 0;
  let settle: (() => void) | undefined;

  const close = (session: Session): void => sessions.close(session, closeCodes.DRAINING, 'draining');

  const tell = (entry: Leaving, now: number): void => {
    if (entry.isTold || entry.atMs - now > NOTICE_MAX_MS) return;
    entry.isTold = true;
    const reconnectAfterMs = Math.max(0, Math.round(entry.atMs - now));
    sessions.send(entry.session, encodeFrame({ t: 'draining', reconnectAfterMs }));
  };

  const step = (): void => {
    const now = nowMs();
    leaving = leaving.filter((entry) => {
      const { session, atMs } = entry;
      if (!session.isOpen) return false;
      tell(entry, now);
      const hasPending = session.pendingCount > 0 && now < atMs + PENDING_GRACE_MS;
      if (now < endMs && (now < atMs || hasPending)) return true;
      close(session);
      return false;
    });
    if (leaving.length > 0) return;
    clearInterval(timer);
    timer = undefined;
    for (const session of [...sessions.all]) close(session);
    settle?.();
    settle = undefined;
  };

  const begin = (spreadMs: number, untilMs: number): void => {
    clearInterval(timer);
    const startMs = nowMs();
    endMs = untilMs;
    log.info({ count: sessions.all.size, spreadMs }, 'draining');
    leaving = [...sessions.all].map((session) => ({
      session,
      atMs: startMs + deps.random() * spreadMs,
      isTold: false,
    }));
    timer = setInterval(step, STEP_MS);
    step();
  };

  return {
    get isRunning() {
      return timer !== undefined;
    },
    drain: (deadlineMs) =>
      new Promise<void>((resolve) => {
        const startMs = nowMs();
        const untilMs = Math.min(startMs + deps.graceMs, deadlineMs - MARGIN_MS);
        const spreadMs = Math.min(
          untilMs - startMs - PENDING_GRACE_MS,
          sessions.all.size * SPREAD_PER_SESSION_MS,
        );
        settle = resolve;
        begin(Math.max(0, spreadMs), untilMs);
      }),
    drainOver: (spreadMs) => {
      const untilMs = nowMs() + spreadMs + PENDING_GRACE_MS;
      begin(spreadMs, untilMs);
      return untilMs;
    },
    stop: () => {
      clearInterval(timer);
      timer = undefined;
      settle?.();
    },
  };
};
