/**
 * What happens once per turn of the event loop, outside every message handler (publishing inside one is six times
 * slower, facts/dependencies.md): flush events, continue replays, send what sessions have gathered.
 */

import type { Session } from '../session/session.ts';

export type Turn = {
  /** Runs the steps once, at the end of this turn. */
  request(): void;
  /** The session has frames in its outbox. */
  addOutbox(session: Session): void;
  /** The session has a replay to go on with. */
  addReplay(session: Session): void;
  stop(): void;
};

export type TurnSteps = {
  readonly flushEvents: () => void;
  readonly continueReplay: (session: Session) => void;
  readonly flushOutbox: (session: Session) => void;
};

export const createTurn = (steps: TurnSteps): Turn => {
  let immediate: NodeJS.Immediate | undefined;
  let outboxes: Session[] = [];
  let replays = new Set<Session>();
  let isStopped = false;

  const run = (): void => {
    immediate = undefined;
    if (isStopped) return;
    steps.flushEvents();
    if (replays.size > 0) {
      const due = replays;
      replays = new Set();
      for (const session of due) steps.continueReplay(session);
    }
    const due = outboxes;
    if (due.length === 0) return;
    outboxes = [];
    for (const session of due) steps.flushOutbox(session);
  };

  const request = (): void => {
    immediate ??= setImmediate(run);
  };

  return {
    request,
    addOutbox: (session) => {
      outboxes.push(session);
      request();
    },
    addReplay: (session) => {
      replays.add(session);
      request();
    },
    stop: () => {
      isStopped = true;
      if (immediate) clearImmediate(immediate);
      immediate = undefined;
    },
  };
};
