import { type JWK, SignJWT, UnsecuredJWT, generateKeyPair, importJWK } from 'jose';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ManualClock, manualClock } from '../clock.ts';
import { type DevIssuer, createDevIssuer } from './dev-issuer.ts';
import { type TokenVerifier, createTokenVerifier } from './tokens.ts';

let folder: string;
let clock: ManualClock;
let issuer: DevIssuer;
let verifier: TokenVerifier;
const audience = 'chat';
const file = (name: string): string => join(folder, name);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat-tokens-'));
  clock = manualClock();
  issuer = await createDevIssuer({ keyFile: file('key.json'), jwksFile: file('jwks.json'), audience, clock });
  verifier = createTokenVerifier({
    issuers: [{ issuer: issuer.issuer, audience, jwks: file('jwks.json') }],
    clock,
  });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const privateJwk = async (): Promise<JWK> => JSON.parse(await readFile(file('key.json'), 'utf8')) as JWK;
type Claims = { iss?: string; aud?: string; sub?: string; exp?: number | undefined; nbf?: number };
/** A token signed with the issuer's own key, with the claims of choice. */
const forge = async (claims: Claims, header: { alg?: string; kid?: string } = {}): Promise<string> => {
  const jwk = await privateJwk();
  const nowS = clock.nowMs() / 1_000;
  const all = { iss: issuer.issuer, aud: audience, sub: 'alice', exp: nowS + 60, ...claims };
  return new SignJWT(JSON.parse(JSON.stringify(all)) as Record<string, unknown>)
    .setProtectedHeader({ alg: header.alg ?? 'EdDSA', kid: header.kid ?? jwk.kid! })
    .sign(await importJWK(jwk, 'EdDSA'));
};
const invalid = { ok: false, code: 'AUTH_TOKEN_INVALID' };

describe('a token verifier', () => {
  it('takes a token of its issuer and tells user, session and expiry', async () => {
    const token = await issuer.mint('alice', { ttlSeconds: 60, sessionId: 's1' });
    expect(await verifier.verify(token)).toEqual({
      ok: true,
      userId: 'alice',
      sessionId: 's1',
      expiresAtMs: clock.nowMs() + 60_000,
    });
  });

  it('tells an expired token from an invalid one', async () => {
    const token = await issuer.mint('alice', { ttlSeconds: 60 });
    clock.advance(59_000);
    expect(await verifier.verify(token)).toMatchObject({ ok: true });
    clock.advance(10_000);
    expect(await verifier.verify(token)).toMatchObject({ ok: false, code: 'AUTH_TOKEN_EXPIRED' });
  });

  it.each<[string, Claims]>([
    ['another issuer', { iss: 'someone' }],
    ['another audience', { aud: 'mail' }],
    ['no expiry', { exp: undefined }],
    ['a subject that is no user id', { sub: 'alice.bob' }],
    ['an empty subject', { sub: '' }],
    ['a subject with a wildcard', { sub: '>' }],
  ])('refuses %s', async (_, claims) => {
    expect(await verifier.verify(await forge(claims))).toMatchObject(invalid);
  });

  it('says of a token that is not valid yet to get a new one: the clock may be at fault, and nothing is final', async () => {
    const nbf = Math.floor(clock.nowMs() / 1_000) + 60;
    expect(await verifier.verify(await forge({ nbf }))).toMatchObject({
      ok: false,
      code: 'AUTH_TOKEN_EXPIRED',
    });
    clock.advance(60_000);
    expect(await verifier.verify(await forge({ nbf }))).toMatchObject({ ok: true });
  });

  it('accepts what the forging helper makes when nothing is wrong with it', async () => {
    expect(await verifier.verify(await forge({}))).toMatchObject({ ok: true, userId: 'alice' });
  });

  it('refuses a token without signature, signed by another key, by another algorithm, or altered', async () => {
    const claims = { iss: issuer.issuer, aud: audience, sub: 'alice', exp: clock.nowMs() / 1_000 + 60 };
    const none = new UnsecuredJWT(claims).encode();
    const { kid } = await privateJwk();
    const hmac = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: kid! })
      .sign(new TextEncoder().encode((await privateJwk()).x));
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
    const stranger = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'EdDSA', kid: kid! })
      .sign(privateKey);
    const good = await issuer.mint('alice');
    const [header, , signature] = good.split('.');
    const altered = `${header}.${Buffer.from(JSON.stringify({ ...claims, sub: 'bob' })).toString('base64url')}.${signature}`;
    for (const token of [none, hmac, stranger, altered])
      expect(await verifier.verify(token)).toMatchObject(invalid);
  });

  it.each(['', 'x', '..', 'a.b.c', 'é.é.é', 'x'.repeat(10_000), '{"alg":"none"}'])(
    'refuses the garbage %#',
    async (token) => {
      const result = await verifier.verify(token);
      expect(result).toMatchObject(invalid);
      if (!result.ok && token.length > 3) expect(result.message).not.toContain(token);
    },
  );

  it('reads the key file again for an unknown key, but not at every request', async () => {
    expect(await verifier.verify(await issuer.mint('alice'))).toMatchObject({ ok: true });
    await rm(file('key.json'));
    const rotated = await createDevIssuer({
      keyFile: file('key.json'),
      jwksFile: file('jwks.json'),
      audience,
      clock,
    });
    const token = await rotated.mint('bob');
    // Just read: a flood of unknown key ids must not become a flood of file reads.
    expect(await verifier.verify(token)).toMatchObject(invalid);
    clock.advance(6_000);
    expect(await verifier.verify(token)).toMatchObject({ ok: true, userId: 'bob' });
    expect(await verifier.verify(await issuer.mint('alice'))).toMatchObject(invalid);
  });

  it('throws, as a fault and not as a refusal, when the keys cannot be read', async () => {
    const blind = createTokenVerifier({
      issuers: [{ issuer: issuer.issuer, audience, jwks: file('none.json') }],
      clock,
    });
    const token = await issuer.mint('alice');
    await expect(blind.verify(token)).rejects.toMatchObject({ code: 'AUTH_KEYS_UNAVAILABLE' });
    // It appears later (the issuer was started after us): no restart is needed.
    await writeFile(file('none.json'), JSON.stringify(issuer.jwks));
    expect(await blind.verify(token)).toMatchObject({ ok: true });
  });

  it('fetches the keys from a URL, and a dead URL is a fault', async () => {
    const http = createServer((_, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(issuer.jwks));
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const jwks = `http://127.0.0.1:${(http.address() as AddressInfo).port}/jwks`;
    const remote = createTokenVerifier({ issuers: [{ issuer: issuer.issuer, audience, jwks }], clock });
    expect(await remote.verify(await issuer.mint('alice'))).toMatchObject({ ok: true });
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
    const dead = createTokenVerifier({ issuers: [{ issuer: issuer.issuer, audience, jwks }], clock });
    await expect(dead.verify(await issuer.mint('alice'))).rejects.toMatchObject({
      code: 'AUTH_KEYS_UNAVAILABLE',
    });
  });
});

describe('the development issuer', () => {
  it('keeps its key between starts, readable only by its owner, and publishes no private part', async () => {
    const again = await createDevIssuer({ keyFile: file('key.json'), audience, clock });
    expect(await verifier.verify(await again.mint('alice'))).toMatchObject({ ok: true });
    expect((await stat(file('key.json'))).mode & 0o777).toBe(0o600);
    expect(await readFile(file('jwks.json'), 'utf8')).not.toContain('"d"');
  });

  it('two that start at once end with the same key', async () => {
    const issuers = await Promise.all(
      [1, 2, 3].map(() => createDevIssuer({ keyFile: file('race/key.json'), audience })),
    );
    expect(new Set(issuers.map(({ jwks }) => jwks.keys[0]!.kid)).size).toBe(1);
  });

  it('refuses a file that holds something else', async () => {
    await writeFile(file('bad.json'), '{"kty":"RSA"}');
    await expect(createDevIssuer({ keyFile: file('bad.json'), audience })).rejects.toMatchObject({
      code: 'DEV_KEY_INVALID',
    });
    await writeFile(file('bad.json'), 'not json');
    await expect(createDevIssuer({ keyFile: file('bad.json'), audience })).rejects.toMatchObject({
      code: 'DEV_KEY_INVALID',
    });
  });
});
