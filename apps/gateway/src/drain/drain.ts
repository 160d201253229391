/**
 * How a gateway says goodbye: no new sockets → every client is told when to come back, spread over the grace period →
 * each is closed at its time, once its pending commands had their chance → the rest is closed at the deadline.
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

export type DrainDeps = {
  readonly sessions: Sessions;
  readonly graceMs: number;
  readonly random: () => number;
  readonly nowMs: () => number;
  readonly log: Logger;
};

type Leaving = { readonly session: Session; readonly atMs: number };

export const createDrain = (deps: DrainDeps) => {
  const { sessions, nowMs, log } = deps;

  const close = (session: Session): void => sessions.close(session, closeCodes.DRAINING, 'draining');

  /** Resolves when no session is left, at the deadline (ms since the Unix epoch) at the latest. */
  const drain = (deadlineMs: number): Promise<void> =>
    new Promise<void>((resolve) => {
      const startMs = nowMs();
      const endMs = Math.min(startMs + deps.graceMs, deadlineMs - MARGIN_MS);
      // A handful goes at once; the more there are, the more of the grace period they are spread over.
      const spreadMs = Math.max(0, Math.min(endMs - startMs - PENDING_GRACE_MS, sessions.all.size * 10));
      const leaving: Leaving[] = [];
      log.info({ count: sessions.all.size, spreadMs }, 'draining');
      for (const session of [...sessions.all]) {
        const reconnectAfterMs = Math.round(deps.random() * spreadMs);
        sessions.send(session, encodeFrame({ t: 'draining', reconnectAfterMs }));
        leaving.push({ session, atMs: startMs + reconnectAfterMs });
      }
      leaving.sort((a, b) => a.atMs - b.atMs);
      let next: Leaving[] = leaving;
      const step = (): void => {
        const now = nowMs();
        const staying: Leaving[] = [];
        for (const entry of next) {
          const { session, atMs } = entry;
          const hasPending = session.pendingCount > 0 && now < atMs + PENDING_GRACE_MS;
          if (now < endMs && (now < atMs || hasPending)) staying.push(entry);
          else close(session);
        }
        next = staying;
        if (next.length > 0) return;
        clearInterval(timer);
        for (const session of [...sessions.all]) close(session);
        resolve();
      };
      const timer = setInterval(step, STEP_MS);
      step();
    });

  return { drain };
};
