import { describe, expect, it } from 'vitest';
import type { ConnectionState, WaitCause } from '@chat/client/session-types';
import { type Known, troubleOf } from './trouble.ts';

const nowMs = 1_000_000;
const known = (over: Partial<Known>): Known => ({
  state: { kind: 'live' },
  isOnline: true,
  isReconnecting: false,
  retryAtMs: 0,
  movesAtMs: undefined,
  held: undefined,
  nowMs,
  ...over,
});
const waiting = (cause: WaitCause): ConnectionState => ({
  kind: 'waiting',
  retryInMs: 4_000,
  cause,
  reason: 'for a log',
});

describe('the page says', () => {
  it('nothing while all is well, at the first connect, and after a stop that is told elsewhere', () => {
    expect(troubleOf(known({}))).toBeUndefined();
    expect(troubleOf(known({ state: { kind: 'connecting', gatewayUrl: 'ws://x' } }))).toBeUndefined();
    expect(
      troubleOf(known({ state: { kind: 'stopped', reason: { kind: 'by_caller' } }, isOnline: false })),
    ).toBeUndefined();
  });

  it.each([
    ['lost', /Connection lost/],
    ['draining', /shutting down/],
    ['busy', /overloaded/],
    ['token', /sign-in/],
  ] as const)('why there is no connection (%s), and when the next try is', (cause, words) => {
    const trouble = troubleOf(known({ state: waiting(cause), retryAtMs: nowMs + 3_001 }));
    expect(trouble?.words).toMatch(words);
    expect(trouble?.words).toContain('in 4 s');
    expect(trouble?.words).not.toContain('for a log');
    expect(trouble?.mayTryNow).toBe(true);
  });

  it('that one is offline rather than when it would try in vain', () => {
    const trouble = troubleOf(known({ state: waiting('lost'), isOnline: false, retryAtMs: nowMs + 9_000 }));
    expect(trouble?.words).toMatch(/^You are offline/);
  });

  it('that it reconnects, while it does', () => {
    const state = { kind: 'connecting', gatewayUrl: 'ws://x' } as const;
    expect(troubleOf(known({ state, isReconnecting: true }))?.words).toMatch(/^Reconnecting/);
  });

  it('how long to slow down, and nothing when that is over', () => {
    const held = { code: 'RATE_LIMITED', untilMs: nowMs + 2_500 } as const;
    expect(troubleOf(known({ held }))?.words).toMatch(/^Slow down: .* in 3 s/);
    expect(troubleOf(known({ held, nowMs: nowMs + 2_500 }))).toBeUndefined();
  });

  it.each(['OVERLOADED', 'UNAVAILABLE'] as const)('that the service is overloaded (%s)', (code) => {
    expect(troubleOf(known({ held: { code, untilMs: nowMs + 1 } }))?.words).toMatch(/overloaded.* in 1 s/);
  });

  it('that the server drains while the session still lives', () => {
    expect(troubleOf(known({ movesAtMs: nowMs + 7_000 }))?.words).toMatch(/shutting down.* in 7 s/);
  });
});
