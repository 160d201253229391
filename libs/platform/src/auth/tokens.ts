import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  errors,
  exportSPKI,
  jwtVerify,
  type CryptoKey,
  type JWTVerifyGetKey,
} from 'jose';
import { readFile } from 'node:fs/promises';
import { type UserId, parseUserId } from '@chat/contracts/ids';
import { type Clock, systemClock } from '../clock.ts';
import { UnavailableFault } from '../faults.ts';
import { quickVerify } from './quick-verify.ts';

export type TokenIssuer = {
  readonly issuer: string;
  readonly audience: string;
  /** `http(s)://…` or a file path (also `file://…`) of a JWKS with Ed25519 keys. */
  readonly jwks: string;
};

export type TokenResult =
  | { readonly ok: true; readonly userId: UserId; readonly expiresAtMs: number; readonly sessionId?: string }
  | {
      readonly ok: false;
      readonly code: 'AUTH_TOKEN_INVALID' | 'AUTH_TOKEN_EXPIRED';
      readonly message: string;
    };

/** What a token claims to be signed with; unverified. */
export type TokenHeader = { readonly alg?: string; readonly kid?: string };

export type TokenVerifier = {
  verify(token: string): Promise<TokenResult>;
  /**
   * The public key (SPKI, PEM) for a verifier of another make, by the unverified issuer and header of a token;
   * undefined when no known issuer has it. Throws UnavailableFault AUTH_KEYS_UNAVAILABLE.
   */
  publicKeyPem(issuer: unknown, header: TokenHeader): Promise<string | undefined>;
  readonly issuers: readonly TokenIssuer[];
};

export type TokenVerifierOptions = { readonly issuers: readonly TokenIssuer[]; readonly clock?: Clock };

/** Clocks of issuer and gateway may differ by this much. */
export const CLOCK_TOLERANCE_S = 5;
/** A key file (or URL) is read again for an unknown key id, but not more often than this. */
const REREAD_MIN_MS = 5_000;
const FETCH_TIMEOUT_MS = 5_000;
export const TOKEN_MAX_LENGTH = 3_072;
const SESSION_ID_MAX_LENGTH = 128;

const invalid = (message: string): TokenResult => ({ ok: false, code: 'AUTH_TOKEN_INVALID', message });

/**
 * Checks EdDSA tokens: the signature by the issuer's JWKS, `iss`, `aud`, `exp` (required), `nbf`, and `sub` as a UserId.
 * A bad token is a value; keys that cannot be read are an UnavailableFault AUTH_KEYS_UNAVAILABLE (the token may be good).
 * The message never holds any part of the token.
 */
export const createTokenVerifier = ({
  issuers,
  clock = systemClock,
}: TokenVerifierOptions): TokenVerifier => {
  const byIssuer = new Map(
    issuers.map((entry) => [entry.issuer, { ...entry, keys: keySource(entry.jwks, clock) }]),
  );

  const verify = async (token: string): Promise<TokenResult> => {
    if (token.length > TOKEN_MAX_LENGTH) return invalid('The token is too long.');
    const nowS = Math.floor(clock.nowMs() / 1_000);
    const quick = await quickVerify(token, (issuer) => byIssuer.get(issuer), nowS, CLOCK_TOLERANCE_S);
    return quick === undefined ? verifyByJose(token) : resultOf(quick.sub, quick.exp, quick.sid);
  };

  const verifyByJose = async (token: string): Promise<TokenResult> => {
    // The issuer is read unverified only to choose the keys; `jwtVerify` then checks the very same claim.
    const issuer = unverifiedIssuer(token);
    const entry = issuer === undefined ? undefined : byIssuer.get(issuer);
    if (entry === undefined) return invalid('The token is of no known issuer.');
    try {
      const { payload } = await jwtVerify(token, entry.keys, {
        algorithms: ['EdDSA', 'Ed25519'],
        issuer: entry.issuer,
        audience: entry.audience,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: new Date(clock.nowMs()),
      });
      return resultOf(payload.sub, payload.exp ?? 0, payload['sid']);
    } catch (error) {
      return refusalOf(error);
    }
  };

  const pems = new WeakMap<CryptoKey, string>();
  const publicKeyPem = async (issuer: unknown, { alg, kid }: TokenHeader): Promise<string | undefined> => {
    const entry = typeof issuer === 'string' ? byIssuer.get(issuer) : undefined;
    if (entry === undefined || alg !== 'EdDSA') return undefined;
    try {
      // Of a JWKS, jose answers a CryptoKey.
      const key = (await entry.keys(
        { alg, ...(kid === undefined ? {} : { kid }) },
        { payload: '', signature: '' },
      )) as CryptoKey;
      const known = pems.get(key);
      if (known !== undefined) return known;
      const pem = await exportSPKI(key);
      pems.set(key, pem);
      return pem;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  };
  return { verify, publicKeyPem, issuers };
};

/** Of a token that is known to be good. */
const resultOf = (sub: unknown, expS: number, sid: unknown): TokenResult => {
  const userId = parseUserId(sub);
  if (userId === undefined) return invalid('The subject of the token is not a user id.');
  const sessionId = typeof sid === 'string' && sid.length <= SESSION_ID_MAX_LENGTH ? sid : undefined;
  return { ok: true, userId, expiresAtMs: expS * 1_000, ...(sessionId === undefined ? {} : { sessionId }) };
};

const unverifiedIssuer = (token: string): string | undefined => {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
};

const isNotYetValid = ({ claim, reason }: errors.JWTClaimValidationFailed): boolean =>
  claim === 'nbf' && reason === 'check_failed';

const refusalOf = (error: unknown): TokenResult => {
  if (error instanceof errors.JWTExpired) {
    return { ok: false, code: 'AUTH_TOKEN_EXPIRED', message: 'The token has expired; get a new one.' };
  }
  // A clock of ours that is behind, most likely: final would be wrong, for the token is good elsewhere, or soon.
  if (error instanceof errors.JWTClaimValidationFailed && isNotYetValid(error)) {
    return { ok: false, code: 'AUTH_TOKEN_EXPIRED', message: 'The token is not valid yet; get a new one.' };
  }
  if (error instanceof errors.JWTClaimValidationFailed)
    return invalid(`The claim ${error.claim} of the token is not valid.`);
  if (error instanceof errors.JOSEAlgNotAllowed) return invalid('The token is not signed with EdDSA.');
  if (error instanceof errors.JWKSNoMatchingKey) return invalid('The token is signed with an unknown key.');
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return invalid('The signature of the token is wrong.');
  if (error instanceof UnavailableFault) throw error;
  // jose answers malformed input with its own errors, and some of it with a TypeError.
  if (error instanceof errors.JOSEError || error instanceof TypeError)
    return invalid('The token is not valid.');
  throw error;
};

const keysUnavailable = (where: string, cause: unknown): UnavailableFault =>
  new UnavailableFault(`the keys of the token issuer cannot be read from ${where}`, {
    code: 'AUTH_KEYS_UNAVAILABLE',
    cause,
  });

const keySource = (jwks: string, clock: Clock): JWTVerifyGetKey =>
  /^https?:\/\//.test(jwks)
    ? remoteKeySource(new URL(jwks))
    : fileKeySource(jwks.startsWith('file://') ? new URL(jwks) : jwks, clock);

/** jose keeps the keys, fetches them again for an unknown key (with a cooldown), and shares a fetch under way. */
const remoteKeySource = (url: URL): JWTVerifyGetKey => {
  const keys = createRemoteJWKSet(url, {
    cooldownDuration: REREAD_MIN_MS,
    timeoutDuration: FETCH_TIMEOUT_MS,
  });
  return async (header, input) => {
    try {
      return await keys(header, input);
    } catch (error) {
      // These are about the token; anything else is about getting the keys.
      const isOfToken =
        error instanceof errors.JWKSNoMatchingKey ||
        error instanceof errors.JWKSMultipleMatchingKeys ||
        error instanceof errors.JOSENotSupported;
      throw isOfToken ? error : keysUnavailable(url.origin, error);
    }
  };
};

/** Reads the file at first use, and again for an unknown key at most every REREAD_MIN_MS: keys rotate without a restart. */
const fileKeySource = (path: string | URL, clock: Clock): JWTVerifyGetKey => {
  let keys: JWTVerifyGetKey | undefined;
  let readAtMs = -Infinity;
  let reading: Promise<void> | undefined;

  const read = async (): Promise<void> => {
    readAtMs = clock.nowMs();
    try {
      keys = createLocalJWKSet(JSON.parse(await readFile(path, 'utf8')));
    } catch (error) {
      if (keys !== undefined) return; // a half-written file: the known keys stay good
      readAtMs = -Infinity;
      throw keysUnavailable(String(path), error);
    }
  };
  const readShared = (): Promise<void> =>
    (reading ??= read().finally(() => {
      reading = undefined;
    }));

  return async (header, input) => {
    if (keys === undefined) await readShared();
    try {
      return await keys!(header, input);
    } catch (error) {
      const mayReread = clock.nowMs() - readAtMs >= REREAD_MIN_MS;
      if (!(error instanceof errors.JWKSNoMatchingKey) || !mayReread) throw error;
      await readShared();
      return keys!(header, input);
    }
  };
};
