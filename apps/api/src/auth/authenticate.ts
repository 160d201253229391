/**
 * Bearer tokens by @fastify/jwt: EdDSA only, `iss`, `aud`, `exp`, `nbf` and `sub`. The keys are those the gateway uses
 * (libs/platform/src/auth/tokens.ts); auth.int.test.ts holds both verifiers to the same verdict on every token.
 * Keys that cannot be read are our trouble (503), not the token's.
 */

import fastifyJwt, { type TokenOrHeader } from '@fastify/jwt';
import { type UserId, parseUserId } from '@chat/contracts/ids';
import {
  CLOCK_TOLERANCE_S,
  TOKEN_MAX_LENGTH,
  type TokenHeader,
  type TokenVerifier,
} from '@chat/platform/auth/tokens';
import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { App } from '../http/app-type.ts';
import { refuse } from '../http/refusals.ts';

type Claims = { readonly sub?: unknown };
type DecodedToken = { readonly header: TokenHeader; readonly payload: { readonly iss?: unknown } };

/** The token names a key that no known issuer has. */
class UnknownKeyRefusal extends Error {}

const users = new WeakMap<FastifyRequest, UserId>();

/** The user of a request that passed `authenticate`. */
export const userOf = (request: FastifyRequest): UserId => {
  const userId = users.get(request);
  if (userId === undefined) throw new Error('the route does not authenticate');
  return userId;
};

/** Before the routes that use `authenticate`. */
export const registerTokens = async (app: App, verifier: TokenVerifier): Promise<void> => {
  await app.register(fastifyJwt, {
    decode: { complete: true },
    secret: async (_request: FastifyRequest, token: TokenOrHeader) => {
      const { header, payload } = token as unknown as DecodedToken;
      const pem = await verifier.publicKeyPem(payload.iss, header);
      if (pem === undefined) throw new UnknownKeyRefusal();
      return pem;
    },
    verify: {
      algorithms: ['EdDSA'],
      allowedIss: verifier.issuers.map(({ issuer }) => issuer),
      allowedAud: [...new Set(verifier.issuers.map(({ audience }) => audience))],
      requiredClaims: ['iss', 'aud', 'exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_S * 1_000,
      cache: false,
    },
  });
};

const refuseToken = (
  reply: FastifyReply,
  code: 'AUTH_TOKEN_INVALID' | 'AUTH_TOKEN_EXPIRED',
  message?: string,
) =>
  refuse(reply.header('www-authenticate', 'Bearer error="invalid_token"'), {
    code,
    ...(message === undefined ? {} : { message }),
  });

/** Faults of getting the keys go on to the error handler; everything else is about the token. */
const isOfToken = (error: unknown): error is Error & { code?: string } =>
  error instanceof UnknownKeyRefusal ||
  (error instanceof Error && /^(FST_JWT_|FAST_JWT_)/.test(String((error as { code?: unknown }).code)));

/** Expired, or not valid yet: then a clock is at fault, most likely ours, and a new token is worth a try. */
const isOutOfTime = ({ code }: { readonly code?: string }): boolean =>
  code === 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED' || code === 'FAST_JWT_INACTIVE';

export const authenticate: onRequestAsyncHookHandler = async (request, reply) => {
  const [scheme, token, rest] = (request.headers.authorization ?? '').split(' ');
  if (scheme?.toLowerCase() !== 'bearer' || !token || rest !== undefined) {
    return refuse(reply.header('www-authenticate', 'Bearer'), { code: 'AUTH_TOKEN_MISSING' });
  }
  if (token.length > TOKEN_MAX_LENGTH)
    return refuseToken(reply, 'AUTH_TOKEN_INVALID', 'The token is too long.');
  let claims: Claims;
  try {
    claims = await request.jwtVerify<Claims>();
  } catch (error) {
    if (!isOfToken(error)) throw error;
    return refuseToken(reply, isOutOfTime(error) ? 'AUTH_TOKEN_EXPIRED' : 'AUTH_TOKEN_INVALID');
  }
  const userId = parseUserId(claims.sub);
  if (userId === undefined) {
    return refuseToken(reply, 'AUTH_TOKEN_INVALID', 'The subject of the token is not a user id.');
  }
  users.set(request, userId);
};
