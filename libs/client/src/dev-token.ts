/** Tokens of the development issuer (`POST /dev/token`), kept until shortly before they expire. */

import type { DevTokenResponse } from '@chat/contracts/http';
import type { UserId } from '@chat/contracts/ids';
import type { GetToken } from './socket.ts';

const RENEW_BEFORE_EXPIRY_MS = 30_000;
const TIMEOUT_MS = 10_000;

/** The answered function throws when no token can be had: that is a failed connection attempt, and is tried again. */
export const createDevToken = (apiUrl: string, user: UserId): GetToken => {
  let held: DevTokenResponse | undefined;
  return async ({ renew }) => {
    if (held && !renew && held.expiresAtMs - RENEW_BEFORE_EXPIRY_MS > Date.now()) return held.token;
    const response = await fetch(`${apiUrl}/dev/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`no token for ${user}: the api answered ${response.status}`);
    held = (await response.json()) as DevTokenResponse;
    return held.token;
  };
};
