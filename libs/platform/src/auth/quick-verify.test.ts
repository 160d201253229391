import fc from 'fast-check';
import { SignJWT, createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { type QuickIssuer, quickVerify } from './quick-verify.ts';

const NOW_S = 1_800_000_000;
const TOLERANCE_S = 5;
const usual = { iss: 'issuer', aud: 'chat', sub: 'alice', exp: NOW_S + 60 };
type Key = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

let issuer: QuickIssuer;
let keys: Record<'own' | 'stranger', Key>;

beforeAll(async () => {
  const own = await generateKeyPair('EdDSA', { extractable: true });
  const stranger = await generateKeyPair('EdDSA');
  const jwk = { ...(await exportJWK(own.publicKey)), kid: 'k1', alg: 'EdDSA' };
  issuer = { audience: 'chat', keys: createLocalJWKSet({ keys: [jwk] }) };
  keys = { own: own.privateKey, stranger: stranger.privateKey };
});

const sign = (claims: object, header: object = {}, key: Key = keys.own): Promise<string> =>
  new SignJWT(JSON.parse(JSON.stringify(claims)) as Record<string, unknown>)
    .setProtectedHeader({ alg: 'EdDSA', kid: 'k1', ...header })
    .sign(key);
const quick = (token: string) =>
  quickVerify(token, (name) => (name === 'issuer' ? issuer : undefined), NOW_S, TOLERANCE_S);
const byJose = (token: string) =>
  jwtVerify(token, issuer.keys, {
    algorithms: ['EdDSA', 'Ed25519'],
    issuer: 'issuer',
    audience: 'chat',
    requiredClaims: ['exp', 'sub'],
    clockTolerance: TOLERANCE_S,
    currentDate: new Date(NOW_S * 1_000),
  }).then(
    ({ payload }) => payload,
    () => undefined,
  );

describe('the quick check of a token', () => {
  it('says yes to the usual token, and what it claims', async () => {
    expect(await quick(await sign({ ...usual, sid: 's1' }))).toEqual({
      sub: 'alice',
      exp: NOW_S + 60,
      sid: 's1',
    });
    expect(await quick(await sign({ ...usual, nbf: NOW_S, iat: NOW_S - 1 }, { typ: 'JWT' }))).toBeDefined();
  });

  it.each<[string, object, object?]>([
    ['another issuer', { iss: 'someone' }],
    ['another audience', { aud: 'mail' }],
    ['several audiences', { aud: ['chat', 'mail'] }],
    ['no expiry', { exp: undefined }],
    ['an expiry that is over', { exp: NOW_S - TOLERANCE_S }],
    ['an expiry that is no number', { exp: String(NOW_S + 60) }],
    ['a time before it is valid', { nbf: NOW_S + TOLERANCE_S + 1 }],
    ['no subject', { sub: undefined }],
    ['an unknown key', {}, { kid: 'k2' }],
    ['no key id', {}, { kid: undefined }],
    ['a header that asks for more', {}, { x: 1 }],
  ])('leaves %s to jose', async (_, claims, header) => {
    expect(await quick(await sign({ ...usual, ...claims }, header))).toBeUndefined();
  });

  it('leaves what is signed by another key, or altered after it was signed, to jose', async () => {
    expect(await quick(await sign(usual, {}, keys.stranger))).toBeUndefined();
    const [header, , signature] = (await sign(usual)).split('.');
    const altered = Buffer.from(JSON.stringify({ ...usual, sub: 'bob' })).toString('base64url');
    expect(await quick(`${header}.${altered}.${signature}`)).toBeUndefined();
  });

  it('never says yes where jose says no, nor claims anything else', async () => {
    const claims = fc.record({
      iss: fc.constantFrom('issuer', 'someone', undefined),
      aud: fc.constantFrom<unknown>('chat', 'mail', ['chat'], undefined),
      sub: fc.constantFrom<unknown>('alice', 7, undefined, null),
      exp: fc.constantFrom<unknown>(NOW_S + 60, NOW_S - 4, NOW_S - 5, NOW_S - 60, '1', undefined),
      nbf: fc.constantFrom<unknown>(undefined, NOW_S + 5, NOW_S + 6, 'x'),
      iat: fc.constantFrom<unknown>(undefined, NOW_S, 'x'),
      sid: fc.constantFrom<unknown>(undefined, 's1'),
    });
    const cases = fc.record({
      claims: fc.oneof(fc.constant(usual), claims),
      kid: fc.constantFrom('k1', 'k2'),
      key: fc.constantFrom('own' as const, 'stranger' as const),
      // Which character of the token is changed, if one is.
      alterAt: fc.option(fc.nat(400), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ claims: claimed, kid, key, alterAt }) => {
        let token = await sign(claimed, { kid }, keys[key]);
        if (alterAt !== undefined && alterAt < token.length)
          token = `${token.slice(0, alterAt)}${token[alterAt] === 'A' ? 'B' : 'A'}${token.slice(alterAt + 1)}`;
        const yes = await quick(token);
        if (yes === undefined) return;
        expect(await byJose(token)).toMatchObject({ sub: yes.sub, exp: yes.exp });
      }),
      { numRuns: 150 },
    );
  });
});
