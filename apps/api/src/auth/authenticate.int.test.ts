import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify from 'fastify';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorBody } from '@chat/contracts/errors';
import { createTokenVerifier } from '@chat/platform/auth/tokens';
import { silentLogger } from '@chat/platform/log';
import type { App } from '../http/app-type.ts';
import { handleErrors } from '../http/error-handling.ts';
import { authenticate, registerTokens, userOf } from './authenticate.ts';

const ISSUER = 'https://id.example';
const AUDIENCE = 'chat';
const ours = generateKeyPairSync('ed25519');
const foreign = generateKeyPairSync('ed25519');

type Claims = { iss?: string; aud?: string; sub?: string; expS?: number; nbfS?: number };
const sign = (
  claims: Claims = {},
  header: { alg?: string; kid?: string } = {},
  key: KeyObject | Uint8Array = ours.privateKey,
) => {
  const nowS = Math.floor(Date.now() / 1_000);
  const all = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', expS: 60, ...claims };
  const jwt = new SignJWT({}).setProtectedHeader({ alg: 'EdDSA', kid: 'k1', ...header }).setIssuedAt();
  if (all.iss !== undefined) jwt.setIssuer(all.iss);
  if (all.aud !== undefined) jwt.setAudience(all.aud);
  if (all.sub !== undefined) jwt.setSubject(all.sub);
  if (all.expS !== undefined) jwt.setExpirationTime(nowS + all.expS);
  if (all.nbfS !== undefined) jwt.setNotBefore(nowS + all.nbfS);
  return jwt.sign(key);
};

const pemSecret = Buffer.from(ours.publicKey.export({ type: 'spki', format: 'pem' }));
const none = new UnsecuredJWT({})
  .setIssuer(ISSUER)
  .setAudience(AUDIENCE)
  .setSubject('alice')
  .setExpirationTime('1h')
  .encode();

const cases: readonly (readonly [string, () => Promise<string> | string, string])[] = [
  ['a good token', () => sign(), 'alice'],
  ['one that expired within the tolerance of clocks', () => sign({ expS: -2 }), 'alice'],
  ['an expired one', () => sign({ expS: -60 }), 'AUTH_TOKEN_EXPIRED'],
  ['one that is not valid yet', () => sign({ nbfS: 60 }), 'AUTH_TOKEN_EXPIRED'],
  ['one of another issuer', () => sign({ iss: 'https://evil.example' }), 'AUTH_TOKEN_INVALID'],
  ['one without issuer', () => sign({ iss: undefined }), 'AUTH_TOKEN_INVALID'],
  ['one for another audience', () => sign({ aud: 'mail' }), 'AUTH_TOKEN_INVALID'],
  ['one without audience', () => sign({ aud: undefined }), 'AUTH_TOKEN_INVALID'],
  ['one without end', () => sign({ expS: undefined }), 'AUTH_TOKEN_INVALID'],
  ['one without subject', () => sign({ sub: undefined }), 'AUTH_TOKEN_INVALID'],
  ['a subject that is no user id', () => sign({ sub: 'a.b' }), 'AUTH_TOKEN_INVALID'],
  ['one signed with another key', () => sign({}, {}, foreign.privateKey), 'AUTH_TOKEN_INVALID'],
  ['one that names an unknown key', () => sign({}, { kid: 'k2' }), 'AUTH_TOKEN_INVALID'],
  ['one without signature', () => none, 'AUTH_TOKEN_INVALID'],
  [
    'one signed by HMAC with our public key',
    () => sign({}, { alg: 'HS256' }, pemSecret),
    'AUTH_TOKEN_INVALID',
  ],
  [
    'one whose payload was changed',
    async () =>
      (await sign()).replace(/\.[^.]+\./, `.${Buffer.from('{"sub":"bob"}').toString('base64url')}.`),
    'AUTH_TOKEN_INVALID',
  ],
  ['one that is too long', () => `${'a'.repeat(4_000)}.b.c`, 'AUTH_TOKEN_INVALID'],
  ['nonsense', () => 'nonsense', 'AUTH_TOKEN_INVALID'],
];

describe('the api and the gateway judge alike', () => {
  let dir = '';
  let app: App;
  let jwksFile = '';
  const verifierOf = (jwks: string) =>
    createTokenVerifier({ issuers: [{ issuer: ISSUER, audience: AUDIENCE, jwks }] });
  const appOf = async (jwks: string): Promise<App> => {
    const made = Fastify() as unknown as App;
    handleErrors(made, silentLogger());
    await registerTokens(made, verifierOf(jwks));
    made.get('/me', { onRequest: authenticate }, (request) => ({ userId: userOf(request) }));
    return made;
  };
  const ask = async (target: App, token: string) => {
    const response = await target.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } });
    return { status: response.statusCode, body: response.json<{ userId?: string } & Partial<ErrorBody>>() };
  };

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'chat-test-auth-'));
    jwksFile = join(dir, 'jwks.json');
    const key = { ...ours.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'EdDSA', use: 'sig' };
    await writeFile(jwksFile, JSON.stringify({ keys: [key] }));
    app = await appOf(jwksFile);
  });
  afterAll(async () => {
    await app.close();
    await rm(dir, { recursive: true, force: true });
  });

  it.each(cases)('%s', async (_, make, expected) => {
    const token = await make();
    const verdict = await verifierOf(jwksFile).verify(token);
    const { status, body } = await ask(app, token);
    expect(verdict.ok ? verdict.userId : verdict.code).toBe(expected);
    expect(body.userId ?? body.code).toBe(expected);
    expect(status).toBe(expected === 'alice' ? 200 : 401);
  });

  it('keys that cannot be read are a 503 that says to try again, not a bad token', async () => {
    const without = await appOf(join(dir, 'missing.json'));
    const { status, body } = await ask(without, await sign());
    expect([status, body.code, body.retryable]).toEqual([503, 'UNAVAILABLE', true]);
    await without.close();
  });
});
