/**
 * When a session hands its gateway a new token, so that it outlives the old one without a reconnect.
 *
 *   unknown ─token with an end─► planned ─due─► renewing ─token sent─► planned (by the new token)
 *                                   ▲              │ no token to be had, or the gateway could not check it
 *                                   └──── later ◄──┘
 *
 * Nothing rests on it: a renewal that does not come in time ends in TOKEN_EXPIRED, a reconnect with a new token.
 */

import { backoffMs } from './backoff.ts';

/** Renewed this long before the end at the latest; a fifth of what is left for tokens of a short life. */
export const REAUTH_LEAD_MS = 60_000;
/** At most one renewal in this time, whatever a token or the clock says; within the gateway's grace of 10 s. */
export const REAUTH_MIN_MS = 5_000;

/** The lead is doubled at random, so that all who came after one restart do not renew in step. */
export const reauthDelayMs = (leftMs: number, random: () => number): number => {
  const leadMs = Math.min(REAUTH_LEAD_MS, leftMs / 5);
  return Math.max(REAUTH_MIN_MS, Math.floor(leftMs - leadMs * (1 + random())));
};

export type Reauth = ReturnType<typeof createReauth>;

export const createReauth = (random: () => number) => {
  let atMs: number | undefined;
  let failureCount = 0;
  /** A renewed token is on its way to the gateway, which answers only when it does not take it. */
  let isUnderCheck = false;

  const later = (nowMs: number, namedMs: number | undefined): void => {
    atMs = nowMs + REAUTH_MIN_MS + (namedMs ?? 0) + backoffMs(failureCount, random);
    failureCount += 1;
  };

  return {
    /** `leftMs` undefined: the token does not say how long it is good. */
    began: (nowMs: number, leftMs: number | undefined): void => {
      isUnderCheck = false;
      failureCount = 0;
      atMs = leftMs === undefined ? undefined : nowMs + reauthDelayMs(leftMs, random);
    },
    sent: (nowMs: number, leftMs: number | undefined): void => {
      isUnderCheck = true;
      atMs = leftMs === undefined ? undefined : nowMs + reauthDelayMs(leftMs, random);
    },
    failed: (nowMs: number): void => later(nowMs, undefined),
    /** The gateway could not check a token at this moment. A token that it refused is not sent again. */
    unchecked: (nowMs: number, retryAfterMs: number | undefined): void => {
      if (!isUnderCheck) return;
      isUnderCheck = false;
      later(nowMs, retryAfterMs);
    },
    ended: (): void => {
      atMs = undefined;
      isUnderCheck = false;
    },
    atMs: (): number | undefined => atMs,
    /** Whether to renew now; true once. */
    takeDue: (nowMs: number): boolean => {
      if (atMs === undefined || nowMs < atMs) return false;
      atMs = undefined;
      return true;
    },
  };
};
