/** An issuer of tokens for development and tests: one Ed25519 key in a private JWK file, its public half in a JWKS file. */

import { type JWK, SignJWT, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from 'jose';
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { Fault, codeOf, reasonOf } from '../faults.ts';

export const DEV_ISSUER = 'chat-dev';

export type DevIssuerOptions = {
  /** Private JWK; made (mode 0600) when there is none. */
  readonly keyFile: string;
  /** When given, the public JWKS is written there. */
  readonly jwksFile?: string;
  readonly issuer?: string;
  readonly audience: string;
  readonly clock?: Clock;
};

export type MintOptions = { readonly ttlSeconds?: number; readonly sessionId?: string };

export type DevIssuer = {
  readonly issuer: string;
  readonly jwks: { readonly keys: readonly JWK[] };
  mint(userId: string, options?: MintOptions): Promise<string>;
};

const DEFAULT_TTL_S = 3_600;

/** Loads or makes the key. Throws Fault DEV_KEY_INVALID when the file holds something else. */
export const createDevIssuer = async (options: DevIssuerOptions): Promise<DevIssuer> => {
  const { keyFile, jwksFile, issuer = DEV_ISSUER, audience, clock = systemClock } = options;
  const privateJwk = (await loadKey(keyFile)) ?? (await makeKey(keyFile));
  const { d: _private, ...publicJwk } = privateJwk;
  const jwks = { keys: [{ ...publicJwk, alg: 'EdDSA', use: 'sig' }] };
  if (jwksFile !== undefined) await writeWhole(jwksFile, JSON.stringify(jwks, null, 2), 0o644);
  const key = await importJWK(privateJwk, 'EdDSA');

  return {
    issuer,
    jwks,
    mint: (userId, { ttlSeconds = DEFAULT_TTL_S, sessionId } = {}) => {
      const nowS = Math.floor(clock.nowMs() / 1_000);
      return new SignJWT(sessionId === undefined ? {} : { sid: sessionId })
        .setProtectedHeader({ alg: 'EdDSA', kid: privateJwk.kid!, typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(userId)
        .setIssuedAt(nowS)
        .setNotBefore(nowS)
        .setExpirationTime(nowS + ttlSeconds)
        .sign(key);
    },
  };
};

const loadKey = async (keyFile: string): Promise<JWK | undefined> => {
  let jwk: JWK;
  try {
    jwk = JSON.parse(await readFile(keyFile, 'utf8')) as JWK;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new Fault('DEV_KEY_INVALID', `the key file ${keyFile} cannot be read: ${reasonOf(error)}`, error);
  }
  if (
    jwk.kty !== 'OKP' ||
    jwk.crv !== 'Ed25519' ||
    typeof jwk.d !== 'string' ||
    typeof jwk.kid !== 'string'
  ) {
    throw new Fault(
      'DEV_KEY_INVALID',
      `the key file ${keyFile} does not hold a private Ed25519 JWK with a kid`,
    );
  }
  return jwk;
};

/** Two processes that start at once end with the same key: the file appears whole and only once (`link` refuses a second). */
const makeKey = async (keyFile: string): Promise<JWK> => {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const jwk = await exportJWK(privateKey);
  const withId: JWK = { ...jwk, kid: await calculateJwkThumbprint(jwk) };
  await mkdir(dirname(keyFile), { recursive: true });
  const temporary = `${keyFile}.${randomUUID()}.new`;
  await writeFile(temporary, JSON.stringify(withId), { mode: 0o600 });
  try {
    await link(temporary, keyFile);
    return withId;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return (await loadKey(keyFile))!;
  } finally {
    await rm(temporary, { force: true });
  }
};

const writeWhole = async (path: string, content: string, mode: number): Promise<void> => {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}.new`;
  await writeFile(temporary, content, { mode });
  await rename(temporary, path);
};
