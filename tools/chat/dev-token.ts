/** Tokens of the development issuer, kept until shortly before they expire. */

import type { DevTokenResponse } from '@chat/contracts/http';
import type { UserId } from '@chat/contracts/ids';

const RENEW_BEFORE_EXPIRY_MS = 30_000;

export const createDevToken = (apiUrl: string, user: UserId) => {
  let held: DevTokenResponse | undefined;
  return async ({ renew }: { readonly renew: boolean }): Promise<string> => {
    if (held && !renew && held.expiresAtMs - RENEW_BEFORE_EXPIRY_MS > Date.now()) return held.token;
    const response = await fetch(`${apiUrl}/dev/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user }),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`no token for ${user}: the api answered ${response.status}`);
    held = (await response.json()) as DevTokenResponse;
    return held.token;
  };
};
