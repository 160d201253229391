import { describe, expect, it } from 'vitest';
import { REAUTH_MIN_MS, reauthDelayMs } from './reauth.ts';
import { find, harness, kinds, welcome } from './testing/session-harness.ts';
import { tokenLeftMs } from './token-left.ts';

const HOUR_MS = 3_600_000;

const liveFor = (tokenLeft: number | undefined, random = (): number => 0) => {
  const h = harness({ random });
  h.give({ kind: 'start' });
  h.give({ kind: 'opened', tokenLeftMs: tokenLeft });
  const snapshot = find(h.frame(welcome({ heartbeatMs: 10 * HOUR_MS })), 'snapshot');
  h.give({ kind: 'snapshot_done', snapshotId: snapshot?.snapshotId ?? 0 });
  return h;
};

describe('a token is renewed', () => {
  it('one to two minutes before its end, and again before the end of the next', () => {
    const h = liveFor(HOUR_MS);
    expect(h.nextWakeInMs()).toBe(HOUR_MS - 60_000);
    expect(kinds(h.pass(HOUR_MS - 60_001))).not.toContain('reauth');
    expect(kinds(h.pass(1))).toContain('reauth');
    expect(kinds(h.pass(1))).not.toContain('reauth');
    h.give({ kind: 'reauth_sent', tokenLeftMs: HOUR_MS });
    expect(kinds(h.pass(HOUR_MS - 60_000))).toContain('reauth');
    expect(reauthDelayMs(HOUR_MS, () => 0.5)).toBe(HOUR_MS - 90_000);
  });

  it('before its end also when it lives for seconds, yet never in a hurry', () => {
    expect(reauthDelayMs(30_000, () => 0)).toBe(24_000);
    expect(reauthDelayMs(30_000, () => 0.999)).toBeGreaterThan(17_000);
    for (const leftMs of [0, 1, 5_000]) expect(reauthDelayMs(leftMs, Math.random)).toBe(REAUTH_MIN_MS);
  });

  it('later when none could be had or the gateway could not check it, with backoff', () => {
    const h = liveFor(HOUR_MS, () => 0.5);
    h.pass(HOUR_MS);
    h.give({ kind: 'reauth_failed' });
    expect(h.nextWakeInMs()).toBe(REAUTH_MIN_MS + 500);
    expect(kinds(h.pass(REAUTH_MIN_MS + 500))).toContain('reauth');
    h.give({ kind: 'reauth_sent', tokenLeftMs: HOUR_MS });
    h.frame({ t: 'error', code: 'UNAVAILABLE', message: '', retryable: true, retryAfterMs: 1_000 });
    expect(h.nextWakeInMs()).toBe(REAUTH_MIN_MS + 1_000 + 1_000);
  });

  it('not again in this session when the gateway refused it: its end brings a reconnect with a new one', () => {
    const h = liveFor(HOUR_MS);
    h.pass(HOUR_MS);
    h.give({ kind: 'reauth_sent', tokenLeftMs: undefined });
    h.frame({ t: 'error', code: 'AUTH_TOKEN_INVALID', message: '', retryable: false });
    expect(kinds(h.pass(HOUR_MS))).not.toContain('reauth');
    h.frame({ t: 'error', code: 'AUTH_TOKEN_EXPIRED', message: '', retryable: false });
    const effects = h.give({ kind: 'closed', closeCode: 4004, message: '' });
    expect(find(effects, 'open')?.renewToken).toBe(true);
  });

  it('not when nothing says how long it is good, and not for a session that is gone', () => {
    expect(kinds(liveFor(undefined).pass(HOUR_MS))).not.toContain('reauth');
    const h = liveFor(HOUR_MS);
    h.give({ kind: 'closed', closeCode: 1006, message: '' });
    expect(kinds(h.pass(HOUR_MS))).not.toContain('reauth');
  });
});

describe('how long a token is good', () => {
  const nowMs = 1_800_000_000_000;
  const jwt = (claims: unknown): string => `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
  const sec = nowMs / 1_000;

  it('is read from its end', () => {
    expect(tokenLeftMs(jwt({ exp: sec + 60 }), nowMs)).toBe(60_000);
    expect(tokenLeftMs(jwt({ sub: 'jörg?>~', exp: sec - 60 }), nowMs)).toBe(0);
  });

  it('is not longer than its life when our clock is behind, and its life when our clock is ahead of its end', () => {
    expect(tokenLeftMs(jwt({ iat: sec + 5_000, exp: sec + 8_600 }), nowMs)).toBe(HOUR_MS);
    expect(tokenLeftMs(jwt({ iat: sec - 8_600, exp: sec - 5_000 }), nowMs)).toBe(HOUR_MS);
  });

  it.each(['', 'opaque', 'a.b.c', `h.${btoa('7')}.s`, jwt(null), jwt({}), jwt({ exp: 'soon' })])(
    'is unknown for %j',
    (token) => expect(tokenLeftMs(token, nowMs)).toBeUndefined(),
  );
});
