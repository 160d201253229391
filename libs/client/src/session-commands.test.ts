import { describe, expect, it } from 'vitest';
import { REPLAY_HOLD_MS } from './session-core.ts';
import { channelB, event, find, harness, live, sentIds, welcome } from './testing/session-harness.ts';

describe('commands', () => {
  it('leave one after another within a channel, side by side across channels', () => {
    const h = harness();
    live(h);
    expect(sentIds(h.submit('a1'))).toEqual(['a1']);
    expect(sentIds(h.submit('a2'))).toEqual([]);
    expect(sentIds(h.submit('b1', channelB))).toEqual(['b1']);
    expect(sentIds(h.frame({ t: 'accepted', id: 'a1' as never }))).toEqual(['a2']);
  });

  it('go again under the same id after 10 s of silence, until there is an outcome', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    expect(h.nextWakeInMs()).toBe(10_000);
    expect(sentIds(h.pass(9_999))).toEqual([]);
    expect(sentIds(h.pass(1))).toEqual(['a1']);
    h.frame({ t: 'accepted', id: 'a1' as never });
    expect(sentIds(h.pass(10_000))).toEqual(['a1']);
    const effects = h.frame({ t: 'persisted', id: 'a1' as never, seq: 40, duplicate: true });
    expect(find(effects, 'verdict')?.verdict).toEqual({
      kind: 'persisted',
      id: 'a1',
      seq: 40,
      duplicate: true,
    });
    expect(sentIds(h.pass(10_000))).toEqual([]);
  });

  it('go again in their order after a reconnect, before newer ones', () => {
    const h = harness();
    live(h);
    for (const id of ['a1', 'a2']) {
      h.submit(id);
      h.frame({ t: 'accepted', id: id as never });
    }
    h.give({ kind: 'closed', closeCode: 1006, message: '' });
    h.submit('a3');
    h.pass(30_000);
    h.give({ kind: 'opened' });
    const order = [...sentIds(h.frame(welcome({ resume: 'replayed' })))];
    for (const id of ['a1', 'a2', 'a3']) order.push(...sentIds(h.frame({ t: 'accepted', id: id as never })));
    expect(order).toEqual(['a1', 'a2', 'a3']);
  });

  it('wait for a replay that may hold their outcome, but not for long', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    h.submit('b1', channelB);
    h.give({ kind: 'closed', closeCode: 1006, message: '' });
    h.pass(30_000);
    h.give({ kind: 'opened' });
    expect(sentIds(h.frame(welcome({ resume: 'replayed', head: 20 })))).toEqual([]);
    const mine = event(11, { commandId: 'a1' as never, actor: 'alice' as never });
    const effects = h.frame({ t: 'events', events: [mine] });
    expect(find(effects, 'verdict')?.verdict).toMatchObject({ kind: 'persisted', id: 'a1', seq: 11 });
    expect(h.nextWakeInMs()).toBeLessThanOrEqual(REPLAY_HOLD_MS);
    expect(sentIds(h.pass(REPLAY_HOLD_MS))).toEqual(['b1']);
  });

  it('are settled by their own event, not by the event of another under the same id', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    h.frame({ t: 'events', events: [event(11, { commandId: 'a1' as never, actor: 'bob' as never })] });
    expect(h.outbox.size()).toBe(1);
    h.frame({ t: 'events', events: [event(12, { commandId: 'a1' as never, actor: 'alice' as never })] });
    expect(h.outbox.size()).toBe(0);
  });

  it('are settled by a recorded rejection in the log', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    const refusal = event(11, {
      type: 'command.rejected',
      commandId: 'a1' as never,
      actor: 'alice' as never,
      data: { name: 'message.send', code: 'MSG_CHANNEL_NOT_FOUND', message: 'no' },
    } as never);
    expect(find(h.frame({ t: 'events', events: [refusal] }), 'verdict')?.verdict).toEqual({
      kind: 'rejected',
      id: 'a1',
      seq: 11,
      code: 'MSG_CHANNEL_NOT_FOUND',
      message: 'no',
    });
  });

  it('refused for the moment wait as told and go before later ones of their channel', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    h.submit('a2');
    const effects = h.frame({
      t: 'rejected',
      id: 'a1',
      code: 'RATE_LIMITED',
      message: '',
      retryable: true,
      retryAfterMs: 3_000,
    });
    expect(find(effects, 'held')?.held).toEqual({ id: 'a1', code: 'RATE_LIMITED', retryInMs: 3_000 });
    expect(find(effects, 'verdict')).toBeUndefined();
    expect(h.nextWakeInMs()).toBe(3_000);
    expect(sentIds(h.pass(2_999))).toEqual([]);
    expect(sentIds(h.pass(1))).toEqual(['a1']);
    expect(sentIds(h.frame({ t: 'accepted', id: 'a1' as never }))).toEqual(['a2']);
  });

  it('refused for the moment without a time wait by themselves, longer each time, and say how long', () => {
    const h = harness({ random: () => 0.999_999 });
    live(h);
    h.submit('a1');
    const waits = [1, 2, 3, 4, 5, 6, 7].map(() => {
      const effects = h.frame({ t: 'rejected', id: 'a1', code: 'OVERLOADED', message: '', retryable: true });
      const waitMs = find(effects, 'held')?.held.retryInMs ?? -1;
      h.pass(waitMs / 2);
      h.frame({ t: 'tick', seq: 10 });
      h.pass(waitMs / 2);
      return waitMs;
    });
    expect(waits).toEqual(
      [1_099, 2_099, 4_099, 8_099, 16_099, 30_099, 30_099].map((ms) => expect.closeTo(ms, -1)),
    );
    expect(h.outbox.get('a1')).toMatchObject({ status: 'sent', attemptCount: 8 });
  });

  it('refused at the first send by the gateway for good are settled', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    const effects = h.frame({
      t: 'rejected',
      id: 'a1',
      code: 'MSG_TEXT_EMPTY',
      message: 'empty',
      retryable: false,
    });
    expect(find(effects, 'verdict')?.verdict).toMatchObject({ kind: 'rejected', code: 'MSG_TEXT_EMPTY' });
  });

  it('refused by a gateway after an earlier send may have been stored are asked about, and hold their channel', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    h.frame({ t: 'accepted', id: 'a1' as never });
    h.submit('a2');
    h.frame({ t: 'accepted', id: 'a2' as never });
    h.pass(10_000);
    const refusal = { code: 'MSG_CHANNEL_NOT_FOUND', message: '', retryable: false } as const;
    const effects = h.frame({ t: 'rejected', id: 'a1', ...refusal });
    expect(find(effects, 'resolve')?.id).toBe('a1');
    expect(find(effects, 'verdict')).toBeUndefined();
    expect(sentIds(h.submit('a3'))).toEqual([]);
    const verdict = { kind: 'persisted', id: 'a1', seq: 11, duplicate: true } as const;
    expect(find(h.give({ kind: 'resolved', verdict }), 'verdict')?.verdict).toEqual(verdict);
  });

  it('stay within what the gateway takes at once', () => {
    const h = harness();
    h.give({ kind: 'start' });
    h.give({ kind: 'opened' });
    h.frame(welcome({ limits: { frameMaxBytes: 1, textMaxBytes: 1, inFlightMaxCount: 2 } }));
    const sent = ['1', '2', '3'].flatMap((id) => sentIds(h.submit(id, `channel-${id}`)));
    expect(sent).toEqual(['1', '2']);
    expect(sentIds(h.frame({ t: 'persisted', id: '1' as never, seq: 11 }))).toEqual(['3']);
  });

  it('ask to be written to storage before they are on the wire again after a loss', () => {
    const h = harness();
    live(h);
    h.submit('a1');
    const effects = h.give({ kind: 'closed', closeCode: 1006, message: '' });
    expect(find(effects, 'save')?.urgent).toBe(true);
    expect(h.outbox.stored().map(({ id }) => id)).toEqual(['a1']);
  });
});
