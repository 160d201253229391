/**
 * One coarse sweep over the sessions for everything that is due by time, instead of timers per socket: ticks to idle
 * sockets, hello timeouts, expired tokens, stuck sockets, commands whose outcome is to be asked for.
 */

import { closeCodes } from '@chat/contracts/protocol';
import { HELLO_TIMEOUT_MS } from '@chat/contracts/limits';
import type { OutcomeAsker } from '../command/outcome-asker.ts';
import type { Replayer } from '../resume/replayer.ts';
import { errorFrame, tickFrame } from './server-frames.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

const STEP_MS = 250;
/** A client that was told of the expiry has this long to send `reauth`. */
const TOKEN_GRACE_MS = 10_000;

export type HeartbeatDeps = {
  readonly sessions: Sessions;
  readonly replayer: Replayer;
  readonly asker: OutcomeAsker;
  readonly heartbeatMs: number;
  readonly slowConsumerMaxMs: number;
  readonly nowMs: () => number;
};

export type Heartbeat = { start(): void; stop(): void };

export const createHeartbeat = (deps: HeartbeatDeps): Heartbeat => {
  const { sessions, replayer, asker, nowMs } = deps;
  let timer: NodeJS.Timeout | undefined;

  /** A time that is yet to come is one of before the clock was set back. */
  const isWithin = (atMs: number, sinceMs: number, now: number): boolean => atMs > sinceMs && atMs <= now;

  const isIdle = (session: Session, sinceMs: number, now: number): boolean => {
    if (isWithin(session.lastSentAtMs, sinceMs, now)) return false;
    for (const scope of session.joined) {
      if (!isWithin(scope.publishedAtMs, sinceMs, now)) continue;
      // Remembered, so that the topics of a session are looked through once a heartbeat, not in every sweep.
      session.lastSentAtMs = scope.publishedAtMs;
      return false;
    }
    return true;
  };

  const look = (session: Session, now: number): void => {
    if (session.state === 'connecting') {
      if (now - session.openedAtMs < HELLO_TIMEOUT_MS) return;
      sessions.send(session, errorFrame('HELLO_TIMEOUT'));
      sessions.close(session, closeCodes.HELLO_TIMEOUT, 'no hello');
      return;
    }
    if (session.tokenExpiresAtMs > 0 && now > session.tokenExpiresAtMs + TOKEN_GRACE_MS) {
      sessions.send(session, errorFrame('AUTH_TOKEN_EXPIRED'));
      sessions.close(session, closeCodes.TOKEN_EXPIRED, 'token expired');
      return;
    }
    if (session.pendingCount > 0) asker.look(session);
    if (session.outbox.length > 0) sessions.flushOutbox(session);
    if (session.state === 'replaying') lookReplay(session, now);
    else if (session.state === 'live' && isIdle(session, now - deps.heartbeatMs + STEP_MS, now))
      sessions.send(session, tickFrame(session.partition.flushedSeq));
  };

  /** uWS reports a drain only once; a replay is never left waiting for one that does not come. */
  const lookReplay = (session: Session, now: number): void => {
    if (session.stuckSinceMs > 0 && now - session.stuckSinceMs > deps.slowConsumerMaxMs)
      sessions.close(session, closeCodes.SLOW_CONSUMER, 'the socket takes nothing');
    else replayer.advance(session);
  };

  const step = (): void => {
    const now = nowMs();
    for (const session of [...sessions.all]) look(session, now);
  };

  return {
    start: () => {
      timer ??= setInterval(step, STEP_MS);
    },
    stop: () => clearInterval(timer),
  };
};
