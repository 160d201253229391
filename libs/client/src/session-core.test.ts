import { describe, expect, it } from 'vitest';
import { ACK_EVERY_MS, FORGIVE_ONE_MS, STABLE_AFTER_MS } from './session-core.ts';
import type { SessionEffect } from './session-types.ts';
import type { WelcomeFrame } from '@chat/contracts/frames';
import {
  type Harness,
  event,
  find,
  harness,
  kinds,
  live,
  sentIds,
  welcome,
} from './testing/session-harness.ts';

describe('connecting', () => {
  it('says hello without a cursor, takes a snapshot at the head, and is live when it is done', () => {
    const h = harness();
    expect(find(h.give({ kind: 'start' }), 'open')?.gatewayUrl).toBe('ws://one');
    expect(find(h.give({ kind: 'opened' }), 'send')?.frame).toEqual({ t: 'hello' });
    const snapshot = find(h.frame(welcome()), 'snapshot');
    expect(snapshot).toMatchObject({ epoch: 'e1', head: 10 });
    expect(h.core.state().kind).toBe('snapshot');
    h.give({ kind: 'snapshot_done', snapshotId: snapshot?.snapshotId ?? 0 });
    expect(h.core.state().kind).toBe('live');
    expect(h.core.cursor()).toEqual({ epoch: 'e1', seq: 10 });
  });

  it('waits with full jitter, 1 s doubling to 30 s, and goes to the next gateway each time', () => {
    const h = harness({ random: () => 0.999999 });
    let effects = h.give({ kind: 'start' });
    const waits: number[] = [];
    const urls: (string | undefined)[] = [];
    for (let i = 0; i < 7; i += 1) {
      urls.push(find(effects, 'open')?.gatewayUrl);
      h.give({ kind: 'closed', closeCode: 1006, message: '' });
      const state = h.core.state();
      waits.push(state.kind === 'waiting' ? state.retryInMs : -1);
      expect(h.nextWakeInMs()).toBe(waits.at(-1));
      effects = h.pass(waits.at(-1) ?? 0);
    }
    expect(waits).toEqual([999, 1_999, 3_999, 7_999, 15_999, 29_999, 29_999]);
    expect(urls).toEqual([
      'ws://one',
      'ws://two',
      'ws://one',
      'ws://two',
      'ws://one',
      'ws://two',
      'ws://one',
    ]);
  });

  it('starts the backoff anew only after a session that lasted', () => {
    const h = harness({ random: () => 0.999999 });
    const loseAfter = (ms: number): number => {
      h.give({ kind: 'opened' });
      h.frame(welcome());
      h.pass(ms);
      h.give({ kind: 'closed', closeCode: 4001, message: '' });
      const state = h.core.state();
      const waitMs = state.kind === 'waiting' ? state.retryInMs : -1;
      h.pass(waitMs);
      return waitMs;
    };
    h.give({ kind: 'start' });
    expect([loseAfter(10), loseAfter(10), loseAfter(10)]).toEqual([999, 1_999, 3_999]);
    expect(loseAfter(STABLE_AFTER_MS)).toBe(999);
    expect(loseAfter(10)).toBe(1_999);
  });

  it('waits no longer than the base when it is cut every few seconds, and takes back a failure for each second', () => {
    const h = harness({ random: () => 0.999999 });
    h.give({ kind: 'start' });
    const loseAfter = (ms: number): number => {
      h.give({ kind: 'opened' });
      h.frame(welcome());
      h.pass(ms);
      h.give({ kind: 'closed', closeCode: 4001, message: '' });
      const state = h.core.state();
      const waitMs = state.kind === 'waiting' ? state.retryInMs : -1;
      h.pass(waitMs);
      return waitMs;
    };
    expect([1, 2, 3, 4].map(() => loseAfter(2_500))).toEqual([999, 999, 999, 999]);
    expect([1, 2, 3, 4, 5, 6, 7].map(() => loseAfter(10)).at(-1)).toBe(29_999);
    expect(loseAfter(3 * FORGIVE_ONE_MS)).toBe(3_999);
  });

  it('says of a session that goes on where it goes on, and of a new one nothing', () => {
    const h = harness();
    live(h);
    h.give({ kind: 'closed', closeCode: 4001, message: '' });
    h.pass(60_000);
    h.give({ kind: 'opened' });
    expect(find(h.frame(welcome({ resume: 'replayed', head: 12 })), 'resumed')).toMatchObject({
      fromSeq: 10,
      head: 12,
    });
    h.give({ kind: 'closed', closeCode: 4001, message: '' });
    h.pass(60_000);
    h.give({ kind: 'opened' });
    const anew = h.frame(welcome({ resume: 'snapshot_required', reason: 'too_old', head: 99 }));
    expect(kinds(anew)).not.toContain('resumed');
  });

  it.each([4500, 4501, 4502, 4999])('stops for good on close code %i', (closeCode) => {
    const h = harness();
    live(h);
    h.give({ kind: 'closed', closeCode, message: 'why' });
    expect(h.core.state()).toEqual({
      kind: 'stopped',
      reason: { kind: 'closed', closeCode, message: 'why' },
    });
    expect(h.nextWakeInMs()).toBeUndefined();
  });

  it.each([1000, 1001, 1006, 1011, 4000, 4004, 4499, 3000])('reconnects on close code %i', (closeCode) => {
    const h = harness();
    live(h);
    h.give({ kind: 'closed', closeCode, message: '' });
    expect(h.core.state().kind).toBe('waiting');
  });

  it('reads the snapshot again that a stop cut off', () => {
    const h = harness();
    h.give({ kind: 'start' });
    h.give({ kind: 'opened' });
    const cutOff = find(h.frame(welcome()), 'snapshot');
    h.give({ kind: 'stop' });
    h.give({ kind: 'start' });
    h.give({ kind: 'opened' });
    const snapshot = find(h.frame(welcome({ resume: 'replayed' })), 'snapshot');
    expect(snapshot).toMatchObject({ epoch: 'e1', head: 10 });
    h.give({ kind: 'snapshot_done', snapshotId: cutOff?.snapshotId ?? 0 });
    expect(h.core.state().kind).toBe('snapshot');
    h.give({ kind: 'snapshot_done', snapshotId: snapshot?.snapshotId ?? 0 });
    expect(h.core.state().kind).toBe('live');
  });

  it('asks for a renewed token after the old one expired', () => {
    const h = harness();
    live(h);
    h.give({ kind: 'closed', closeCode: 4004, message: '' });
    expect(find(h.pass(30_000), 'open')?.renewToken).toBe(true);
  });

  it('gives up on a gateway that does not welcome it', () => {
    const h = harness();
    h.give({ kind: 'start' });
    h.give({ kind: 'opened' });
    expect(kinds(h.pass(h.nextWakeInMs() ?? 0))).toContain('close');
    expect(h.core.state().kind).toBe('waiting');
  });

  it('takes more than two heartbeats of silence for a dead connection', () => {
    const h = harness();
    live(h);
    h.pass(20_000);
    h.frame({ t: 'tick', seq: 11 });
    h.pass(ACK_EVERY_MS);
    expect(h.core.state().kind).toBe('live');
    expect(kinds(h.pass(30_000))).toContain('close');
    expect(h.core.state().kind).toBe('waiting');
  });

  it('moves to the next gateway at the slot that a draining one gave it, without a wait', () => {
    const h = harness();
    live(h);
    h.frame({ t: 'draining', reconnectAfterMs: 7_000 });
    expect(kinds(h.pass(6_999))).not.toContain('open');
    const effects = h.pass(1);
    expect(kinds(effects)).toContain('close');
    expect(find(effects, 'open')?.gatewayUrl).toBe('ws://two');
  });

  it('keeps to the slot when the draining gateway closes early', () => {
    const h = harness();
    live(h);
    h.frame({ t: 'draining', reconnectAfterMs: 7_000 });
    h.pass(2_000);
    h.give({ kind: 'closed', closeCode: 4000, message: 'draining' });
    expect(h.core.state()).toMatchObject({ kind: 'waiting', retryInMs: 5_000 });
  });

  it('tells that it will move, and in what time', () => {
    const h = harness();
    live(h);
    expect(find(h.frame({ t: 'draining', reconnectAfterMs: 7_000 }), 'signal')?.frame).toEqual({
      t: 'draining',
      reconnectAfterMs: 7_000,
    });
  });

  it('comes no sooner than a gateway said that refused the session, and not all at once', () => {
    const h = harness({ random: () => 0.25 });
    h.give({ kind: 'start' });
    h.give({ kind: 'opened' });
    h.frame({ t: 'error', code: 'OVERLOADED', message: '', retryable: true, retryAfterMs: 4_000 });
    h.pass(1_000);
    h.give({ kind: 'closed', closeCode: 4007, message: '' });
    expect(h.core.state()).toMatchObject({ kind: 'waiting', cause: 'busy', retryInMs: 3_250 });
    h.pass(3_250);
    h.give({ kind: 'closed', closeCode: 1006, message: '' });
    expect(h.core.state()).toMatchObject({ kind: 'waiting', cause: 'lost', retryInMs: 500 });
  });

  it('is not sent away for longer than the longest wait, whatever a gateway names', () => {
    const h = harness({ random: () => 0 });
    h.give({ kind: 'start' });
    h.give({ kind: 'opened' });
    h.frame({ t: 'error', code: 'OVERLOADED', message: '', retryable: true, retryAfterMs: 86_400_000 });
    h.give({ kind: 'closed', closeCode: 4007, message: '' });
    expect(h.core.state()).toMatchObject({ kind: 'waiting', retryInMs: 30_000 });
  });

  it.each([
    [4000, 'draining'],
    [4004, 'token'],
    [4007, 'busy'],
    [1006, 'lost'],
    [4001, 'lost'],
  ])('says after close code %i that the cause is: %s', (closeCode, cause) => {
    const h = harness();
    live(h);
    h.give({ kind: 'closed', closeCode, message: '' });
    expect(h.core.state()).toMatchObject({ kind: 'waiting', cause });
  });

  it('does not send what another user left in storage', () => {
    const h = harness({ resumeFrom: { userId: 'carol' as never } });
    h.submit('m1');
    h.give({ kind: 'start' });
    h.give({ kind: 'opened' });
    const effects = h.frame(welcome());
    expect(sentIds(effects)).toEqual([]);
    expect(h.core.state()).toEqual({ kind: 'stopped', reason: { kind: 'user_changed' } });
    expect(h.outbox.size()).toBe(1);
  });

  it('does not sit out a wait when nudged', () => {
    const h = harness();
    h.give({ kind: 'start' });
    h.give({ kind: 'closed', closeCode: 1006, message: '' });
    expect(kinds(h.give({ kind: 'nudge' }))).toContain('open');
  });
});

describe('resuming', () => {
  const resume = (h: Harness, over: Partial<WelcomeFrame>): readonly SessionEffect[] => {
    h.give({ kind: 'closed', closeCode: 1006, message: '' });
    h.pass(30_000);
    h.give({ kind: 'opened' });
    return h.frame(welcome({ resume: 'replayed', ...over }));
  };

  it('says its cursor, replays to the head, and needs no second snapshot', () => {
    const h = harness();
    live(h);
    h.frame({ t: 'events', events: [event(12)] });
    h.give({ kind: 'closed', closeCode: 1006, message: '' });
    h.pass(30_000);
    expect(find(h.give({ kind: 'opened' }), 'send')?.frame).toEqual({
      t: 'hello',
      cursor: { epoch: 'e1', seq: 12 },
    });
    expect(kinds(h.frame(welcome({ resume: 'replayed', head: 15 })))).not.toContain('snapshot');
    expect(h.core.state().kind).toBe('replaying');
    h.frame({ t: 'events', events: [event(13)] });
    expect(h.core.state().kind).toBe('replaying');
    h.frame({ t: 'tick', seq: 15 });
    expect(h.core.state().kind).toBe('live');
  });

  it('applies each event once, in order, whatever is sent twice', () => {
    const h = harness();
    live(h);
    const first = h.frame({ t: 'events', events: [event(9), event(10), event(11), event(11), event(13)] });
    expect(find(first, 'apply')?.events.map(({ seq }) => seq)).toEqual([11, 13]);
    const second = h.frame({ t: 'events', events: [event(12), event(13), event(14)] });
    expect(find(second, 'apply')?.events.map(({ seq }) => seq)).toEqual([14]);
  });

  it('passes on a fact of a kind it has never heard of', () => {
    const h = harness();
    live(h);
    const effects = h.frame({ t: 'events', events: [event(11, { type: 'cake.eaten' as never, v: 3 })] });
    expect(find(effects, 'apply')?.events.map(({ seq }) => seq)).toEqual([11]);
    expect(h.core.state().kind).toBe('live');
  });

  it('stops before an event that only a newer client can read; its cursor stays there, for that client', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    const mine = { commandId: 'a1' as never, actor: 'alice' as never };
    const effects = h.frame({ t: 'events', events: [event(11), event(12, { ...mine, v: 2 }), event(13)] });
    expect(find(effects, 'apply')?.events.map(({ seq }) => seq)).toEqual([11]);
    expect(find(effects, 'verdict')).toBeUndefined();
    expect(find(effects, 'close')?.closeCode).toBe(1000);
    expect(h.core.state()).toEqual({
      kind: 'stopped',
      reason: { kind: 'outdated', type: 'message.sent', version: 2 },
    });
    expect(h.core.cursor()).toEqual({ epoch: 'e1', seq: 11 });
    h.frame({ t: 'events', events: [event(14)] });
    expect(h.core.cursor()).toEqual({ epoch: 'e1', seq: 11 });
  });

  it('moves its cursor by ticks, never back, and acknowledges at most once in a while', () => {
    const h = harness();
    live(h);
    const acks: number[] = [];
    const note = (effects: readonly SessionEffect[]): void => {
      for (const effect of effects) {
        if (effect.kind === 'send' && effect.frame.t === 'ack') acks.push(effect.frame.seq);
      }
    };
    for (let seq = 11; seq <= 50; seq += 1) note(h.frame({ t: 'tick', seq }));
    note(h.frame({ t: 'tick', seq: 20 }));
    expect(h.core.cursor()?.seq).toBe(50);
    note(h.pass(ACK_EVERY_MS));
    expect(acks).toEqual([50]);
    note(h.pass(ACK_EVERY_MS));
    expect(acks).toEqual([50]);
  });

  it('takes a new snapshot when told, and forgets what belongs to an old epoch', () => {
    const h = harness();
    live(h);
    const effects = resume(h, { resume: 'snapshot_required', reason: 'epoch_changed', epoch: 'e2', head: 5 });
    expect(find(effects, 'welcome')?.isNewEpoch).toBe(true);
    expect(find(effects, 'snapshot')).toMatchObject({ epoch: 'e2', head: 5, reason: 'epoch_changed' });
    expect(h.core.cursor()).toEqual({ epoch: 'e2', seq: 5 });
    expect(find(h.frame({ t: 'events', events: [event(6)] }), 'apply')?.events).toHaveLength(1);
  });

  it('still owes a snapshot that was cut off by a lost connection, and takes it once', () => {
    const h = harness();
    h.give({ kind: 'start' });
    h.give({ kind: 'opened' });
    const snapshot = find(h.frame(welcome()), 'snapshot');
    const effects = resume(h, { head: 10 });
    expect(kinds(effects)).not.toContain('snapshot');
    expect(h.core.state().kind).toBe('snapshot');
    h.give({ kind: 'snapshot_done', snapshotId: snapshot?.snapshotId ?? 0 });
    expect(h.core.state().kind).toBe('live');
  });

  it('takes a snapshot anew after the api said that the epoch is stale', () => {
    const h = harness();
    live(h);
    h.give({ kind: 'epoch_stale' });
    expect(h.core.state().kind).toBe('waiting');
    h.pass(30_000);
    h.give({ kind: 'opened' });
    expect(kinds(h.frame(welcome({ resume: 'replayed' })))).toContain('snapshot');
  });
});
