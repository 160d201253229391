/** What stands between the user and a sent message right now, in words with a countdown. Pure. */

import type { ConnectionState, Held } from '@chat/client/session-types';

export type Trouble = {
  readonly words: string;
  /** Waiting can be cut short. */
  readonly mayTryNow: boolean;
};

export type Known = {
  readonly state: ConnectionState;
  readonly isOnline: boolean;
  /** A session was lost and none has been live since. */
  readonly isReconnecting: boolean;
  /** When the wait ends, in the state `waiting`. */
  readonly retryAtMs: number;
  /** When this session moves to another gateway, if the present one said that it shuts down. */
  readonly movesAtMs: number | undefined;
  /** The last command that was held back, and when it goes again. */
  readonly held: { readonly code: Held['code']; readonly untilMs: number } | undefined;
  readonly nowMs: number;
};

const KEPT = 'Go on writing: it is kept and sent when we are back';

const inSeconds = (atMs: number, nowMs: number): string => {
  const seconds = Math.ceil((atMs - nowMs) / 1_000);
  return seconds > 0 ? `in ${seconds} s` : 'now';
};

const waitingWords = (state: Extract<ConnectionState, { kind: 'waiting' }>, when: string): string => {
  switch (state.cause) {
    case 'draining':
      return `This server is shutting down. ${KEPT} (moving to another ${when}).`;
    case 'busy':
      return `The service is overloaded. ${KEPT} (next try ${when}).`;
    case 'token':
      return `Your sign-in ran out and is being renewed. ${KEPT} (next try ${when}).`;
    case 'lost':
      return `Connection lost. ${KEPT} (next try ${when}).`;
  }
};

const heldWords = (code: Held['code'], when: string): string =>
  code === 'RATE_LIMITED' || code === 'IN_FLIGHT_EXCEEDED'
    ? `Slow down: you are faster than the limit. What waits is sent by itself ${when}, in order.`
    : `The service is overloaded. What waits is kept and sent by itself ${when}, in order.`;

/** Undefined: nothing to say. A stopped client is spoken of elsewhere: it needs a person. */
export const troubleOf = (known: Known): Trouble | undefined => {
  const { state, nowMs, held, movesAtMs } = known;
  if (state.kind === 'stopped') return undefined;
  if (state.kind === 'waiting') {
    if (!known.isOnline) return { words: `You are offline. ${KEPT}.`, mayTryNow: true };
    return { words: waitingWords(state, inSeconds(known.retryAtMs, nowMs)), mayTryNow: true };
  }
  if (state.kind === 'connecting')
    return known.isReconnecting ? { words: `Reconnecting… ${KEPT}.`, mayTryNow: false } : undefined;
  if (held && held.untilMs > nowMs)
    return { words: heldWords(held.code, inSeconds(held.untilMs, nowMs)), mayTryNow: false };
  if (movesAtMs !== undefined && movesAtMs > nowMs) {
    return {
      words: `This server is shutting down: moving to another ${inSeconds(movesAtMs, nowMs)}. Nothing is lost.`,
      mayTryNow: false,
    };
  }
  return undefined;
};
