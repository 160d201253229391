/**
 * The usual token — EdDSA, one audience, in time — checked with one pass over its JSON and one call of OpenSSL, at two
 * thirds of the CPU of jose's `jwtVerify` (which decodes it twice and goes through WebCrypto): a gateway that lets
 * thousands in a second does little else.
 *
 * It only ever says yes. Whatever is not the usual token, bad or merely unusual, is for jose to judge, so that there is one
 * place that refuses and says why; a yes of this file must be a yes of jose's (quick-verify.test.ts holds them together).
 */

import { isUtf8 } from 'node:buffer';
import { KeyObject, verify } from 'node:crypto';
import type { CryptoKey, JWTVerifyGetKey } from 'jose';

export type QuickClaims = { readonly sub: unknown; readonly exp: number; readonly sid: unknown };

export type QuickIssuer = { readonly audience: string; readonly keys: JWTVerifyGetKey };

/** 64 bytes of signature are 86 characters. */
const SHAPE = /^([\w-]+)\.([\w-]+)\.([\w-]{86})$/;
const USUAL_HEADER: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

const objectOf = (part: string): Record<string, unknown> | undefined => {
  const bytes = Buffer.from(part, 'base64url');
  if (!isUtf8(bytes)) return undefined;
  const value: unknown = JSON.parse(bytes.toString('utf8'));
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
};

/** Of a JWKS jose answers the same CryptoKey again and again. */
const keyObjects = new WeakMap<CryptoKey, KeyObject>();

const keyOf = async ({ keys }: QuickIssuer, alg: string, kid: string): Promise<KeyObject> => {
  const key = (await keys({ alg, kid }, { payload: '', signature: '' })) as CryptoKey;
  let known = keyObjects.get(key);
  if (known === undefined) keyObjects.set(key, (known = KeyObject.from(key as never)));
  return known;
};

/** On the thread pool: live traffic does not wait behind the tokens of a reconnect storm. */
const isSignedBy = (key: KeyObject, token: string, signature: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const signed = Buffer.from(token.slice(0, -signature.length - 1), 'latin1');
    verify(null, signed, key, Buffer.from(signature, 'base64url'), (error, isGood) => {
      if (error) reject(error);
      else resolve(isGood);
    });
  });

const isInTime = ({ exp, nbf, iat }: Record<string, unknown>, nowS: number, toleranceS: number): boolean =>
  typeof exp === 'number' &&
  exp > nowS - toleranceS &&
  (nbf === undefined || (typeof nbf === 'number' && nbf <= nowS + toleranceS)) &&
  (iat === undefined || typeof iat === 'number');

/** The claims of a good token; undefined when jose must judge. Never throws. `nowS`: whole seconds, as jose counts. */
export const quickVerify = async (
  token: string,
  issuerOf: (issuer: string) => QuickIssuer | undefined,
  nowS: number,
  toleranceS: number,
): Promise<QuickClaims | undefined> => {
  try {
    const [, headerPart, claimsPart, signature] = SHAPE.exec(token) ?? [];
    if (headerPart === undefined || claimsPart === undefined || signature === undefined) return undefined;
    const header = objectOf(headerPart);
    const claims = objectOf(claimsPart);
    if (header === undefined || claims === undefined) return undefined;
    const { alg, kid } = header;
    if (alg !== 'EdDSA' || typeof kid !== 'string') return undefined;
    // A header that asks for more (`crit`, `b64`) is not the usual one.
    for (const name of Object.keys(header)) if (!USUAL_HEADER.has(name)) return undefined;
    const issuer = typeof claims['iss'] === 'string' ? issuerOf(claims['iss']) : undefined;
    if (issuer === undefined || claims['aud'] !== issuer.audience) return undefined;
    const { exp, sub, sid } = claims;
    if (sub === undefined || !isInTime(claims, nowS, toleranceS)) return undefined;
    const key = await keyOf(issuer, alg, kid);
    if (key.asymmetricKeyType !== 'ed25519' || !(await isSignedBy(key, token, signature))) return undefined;
    return { sub, exp: exp as number, sid };
  } catch {
    // Not JSON, no such key, keys that cannot be read: jose finds the same and says it.
    return undefined;
  }
};
