/** One request to one of the apis, in turn. No answer in time is an answer: status 0. */

import type { UserId } from '@chat/contracts/ids';

export type ApiAnswer<T> = { readonly status: number; readonly body: T };
export type ApiCaller = <T>(
  userId: UserId,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
) => Promise<ApiAnswer<T>>;

const REQUEST_TIMEOUT_MS = 8_000;

export const delayMs = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

export const createApiCaller = (
  apiUrls: readonly string[],
  token: (userId: UserId) => Promise<string>,
): ApiCaller => {
  let turn = 0;
  return async <T>(userId: UserId, method: 'GET' | 'POST', path: string, body?: unknown) => {
    turn += 1;
    try {
      const response = await fetch(`${apiUrls[turn % apiUrls.length]}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${await token(userId)}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      return { status: response.status, body: (await response.json()) as T };
    } catch {
      return { status: 0, body: undefined as T };
    }
  };
};
