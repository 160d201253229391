/** Bearer tokens, checked by the same verifier as the gateway's. Keys that cannot be read are our trouble (503), not the token's. */

import type { UserId } from '@chat/contracts/ids';
import type { TokenVerifier } from '@chat/platform/auth/tokens';
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import { refuse } from '../http/refusals.ts';

const users = new WeakMap<FastifyRequest, UserId>();

/** The user of a request that passed `authenticate`. */
export const userOf = (request: FastifyRequest): UserId => {
  const userId = users.get(request);
  if (userId === undefined) throw new Error('the route does not authenticate');
  return userId;
};

export const authenticate =
  (verifier: TokenVerifier): onRequestAsyncHookHandler =>
  async (request, reply) => {
    const [scheme, token, rest] = (request.headers.authorization ?? '').split(' ');
    if (scheme?.toLowerCase() !== 'bearer' || !token || rest !== undefined) {
      return refuse(reply.header('www-authenticate', 'Bearer'), { code: 'AUTH_TOKEN_MISSING' });
    }
    const result = await verifier.verify(token);
    if (!result.ok) {
      const { code, message } = result;
      return refuse(reply.header('www-authenticate', 'Bearer error="invalid_token"'), { code, message });
    }
    users.set(request, result.userId);
  };
