import type { EventData, EventElement, EventType } from '@chat/contracts/events';
import type { MessageView } from '@chat/contracts/http';
import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import type { Scope } from '@chat/contracts/subjects';
import { describe, expect, it } from 'vitest';
import { type ViolationName, checkHistory } from './checker.ts';
import type { History, LogRow, Observer, Send } from './history.ts';

const teamId = '00abcdefghjkmnpq' as TeamId;
const alice = 'alice' as UserId;
const bob = 'bob' as UserId;
const carol = 'carol' as UserId;
const uuid = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const open = uuid(901) as ChannelId;
const secret = uuid(902) as ChannelId;

/** Builds a log row by row; numbers are given as the writer would. */
const createLog = () => {
  const rows: LogRow[] = [];
  const channelSeqs = new Map<ChannelId, number>();
  const append = <T extends EventType>(
    scope: Scope,
    type: T,
    data: EventData[T],
    over: { channelId?: ChannelId; commandId?: CommandId; actor?: UserId } = {},
  ): number => {
    const seq = rows.length + 1;
    const channelSeq =
      type === 'message.sent' && over.channelId ? (channelSeqs.get(over.channelId) ?? 0) + 1 : undefined;
    if (channelSeq !== undefined && over.channelId) channelSeqs.set(over.channelId, channelSeq);
    const payload = JSON.stringify({
      seq,
      type,
      v: 1,
      at: 1000 + seq,
      channelId: over.channelId,
      channelSeq,
      commandId: over.commandId ?? uuid(500 + seq),
      hash: 'h',
      actor: over.actor ?? alice,
      data,
    });
    rows.push({ partition: 0, seq, teamId, scope, payload });
    return seq;
  };
  const join = (userId: UserId, channelId: ChannelId, kind: 'public' | 'private'): void => {
    const data = { userId, role: 'member', kind } as const;
    append(`u_${userId}`, 'member.added', data, { channelId });
    append(`c_${channelId}`, 'member.added', data, { channelId });
  };
  const leave = (userId: UserId, channelId: ChannelId): void => {
    const data = { userId, reason: 'removed' } as const;
    append(`u_${userId}`, 'member.removed', data, { channelId });
    append(`c_${channelId}`, 'member.removed', data, { channelId });
  };
  const say = (n: number, channelId: ChannelId, actor = alice): number =>
    append(
      `c_${channelId}`,
      'message.sent',
      { text: `text ${n}` },
      {
        channelId,
        commandId: uuid(n) as CommandId,
        actor,
      },
    );
  return { rows, append, join, leave, say };
};

/**
 * A sound run: alice, bob and carol in a public channel, bob in and out (and in again) of a private one. Messages
 * 1, 2 public; 3 private with bob; 4 private without him; 5 private with him again; 6 public.
 */
const soundHistory = (): History => {
  const { rows, append, join, leave, say } = createLog();
  append('t', 'team.created', { name: 'demo' });
  for (const userId of [alice, bob, carol]) {
    const data = { userId, role: 'member', teamName: 'demo' } as const;
    append(`u_${userId}`, 'team.member_added', data);
    append('t', 'team.member_added', data);
  }
  append('t', 'channel.created', { kind: 'public', name: 'open' }, { channelId: open });
  for (const userId of [alice, bob, carol]) join(userId, open, 'public');
  join(alice, secret, 'private');
  append(`c_${secret}`, 'channel.created', { kind: 'private', name: 'secret' }, { channelId: secret });
  join(bob, secret, 'private');
  say(1, open);
  say(2, open);
  say(3, secret);
  leave(bob, secret);
  say(4, secret);
  join(bob, secret, 'private');
  say(5, secret);
  say(6, open);
  const events = rows.map((row) => ({ row, event: JSON.parse(row.payload) as EventElement }));
  const messages = events.flatMap(({ event }) => (event.type === 'message.sent' ? [event] : []));
  const view = (n: number): MessageView => {
    const event = messages.find(({ commandId }) => commandId === uuid(n));
    if (!event?.channelId || event.channelSeq === undefined) throw new Error(`no message ${n}`);
    const { commandId, channelId, channelSeq, seq, actor, at, data } = event;
    return { id: commandId, channelId, channelSeq, seq, actor, at, text: data.text };
  };
  const deliveries = (userId: UserId, hidden: readonly number[]) =>
    events
      .filter(({ row }) => row.scope !== 't' || row.seq > 2)
      .filter(({ row, event }) => {
        if (row.scope.startsWith('u_')) return row.scope === `u_${userId}`;
        return !hidden.includes(row.seq) && event.seq > 0;
      })
      .map(({ row }) => ({ seq: row.seq, content: row.payload }));
  const end = rows.length;
  const secretSeqs = rows.filter(({ scope }) => scope === `c_${secret}`).map(({ seq }) => seq);
  const start = events.find(({ event }) => event.commandId === uuid(1))?.row.seq ?? 0;
  const of = (n: number) => view(n).seq;
  // bob lost the twin of his removal and message 4: they stand behind the `u_` event that let him go.
  const hiddenFromBob = secretSeqs.filter((seq) => seq > of(3) && seq <= of(4));
  const observer = (userId: UserId, hidden: readonly number[]): Observer => ({
    name: userId,
    userId,
    afterSeq: start - 1,
    upToSeq: end,
    deliveries: deliveries(userId, hidden).filter(({ seq }) => seq >= start),
  });
  const sends: Send[] = [1, 2, 3, 4, 5, 6].map((n, order) => ({
    sender: alice,
    order,
    id: uuid(n) as CommandId,
    channelId: view(n).channelId,
    text: `text ${n}`,
    verdict: { kind: 'persisted', seq: of(n), duplicate: false },
  }));
  return {
    teamId,
    log: rows,
    stream: rows.map(({ partition, seq, payload }) => ({ partition, seq, payload })),
    commands: messages.map(({ commandId, actor, seq }) => ({ teamId, commandId, actor, seq })),
    sends,
    observers: [observer(alice, []), observer(bob, hiddenFromBob), observer(carol, secretSeqs)],
    api: [
      { userId: alice, channelId: secret, messages: [view(3), view(4), view(5)] },
      { userId: bob, channelId: secret, messages: [view(5)] },
      { userId: carol, channelId: secret, messages: [] },
      { userId: carol, channelId: open, messages: [view(1), view(2), view(6)] },
    ],
  };
};

const names = (history: History): readonly ViolationName[] => [
  ...new Set(checkHistory(history).map(({ name }) => name)),
];

const withObserver = (
  history: History,
  index: number,
  change: (o: Observer) => Partial<Observer>,
): History => ({
  ...history,
  observers: history.observers.map((o, i) => (i === index ? { ...o, ...change(o) } : o)),
});
const withApi = (
  history: History,
  index: number,
  change: (m: readonly MessageView[]) => MessageView[],
): History => ({
  ...history,
  api: history.api.map((a, i) => (i === index ? { ...a, messages: change(a.messages) } : a)),
});
const withSend = (history: History, index: number, over: Partial<Send>): History => ({
  ...history,
  sends: history.sends.map((s, i) => (i === index ? { ...s, ...over } : s)),
});
const at = <T>(values: readonly T[], index: number): T => {
  const value = values.at(index);
  if (value === undefined) throw new Error(`nothing at ${index}`);
  return value;
};

describe('the checker', () => {
  it('finds nothing in a sound history', () => {
    expect(checkHistory(soundHistory())).toEqual([]);
  });

  it('names a gap, a double and a disorder in the log', () => {
    const sound = soundHistory();
    expect(names({ ...sound, stream: [], log: sound.log.filter(({ seq }) => seq !== 2) })).toEqual([
      'LOG_GAP',
    ]);
    expect(names({ ...sound, stream: [], log: [...sound.log, at(sound.log, 0)] })).toContain('LOG_DISORDER');
  });

  it('names a stream that differs from the log or lags behind it', () => {
    const sound = soundHistory();
    const other = sound.stream.map((row, i) => (i === 3 ? { ...row, payload: `${row.payload} ` } : row));
    expect(names({ ...sound, stream: other })).toEqual(['STREAM_DIFFERS']);
    expect(names({ ...sound, stream: sound.stream.slice(0, -1) })).toEqual(['STREAM_DIFFERS']);
    expect(names({ ...sound, stream: sound.stream.filter(({ seq }) => seq !== 5) })).toEqual([
      'STREAM_DIFFERS',
    ]);
    expect(names({ ...sound, stream: sound.stream.slice(4) })).toEqual([]);
  });

  it('names a message stored twice and a broken channelSeq', () => {
    const sound = soundHistory();
    const last = at(sound.log, -1);
    const again = {
      ...last,
      seq: last.seq + 1,
      payload: last.payload.replace(`"seq":${last.seq}`, `"seq":${last.seq + 1}`),
    };
    const found = names({ ...sound, stream: [], log: [...sound.log, again] });
    expect(found).toContain('MESSAGE_DOUBLED');
    expect(found).toContain('CHANNEL_SEQ_BROKEN');
  });

  it('names a persisted message that is lost, elsewhere, or of other content', () => {
    const sound = soundHistory();
    expect(names(withSend(sound, 0, { id: uuid(77) as CommandId }))).toEqual(['PERSISTED_LOST']);
    expect(names(withSend(sound, 0, { text: 'else' }))).toEqual(['CONTENT_DIFFERS']);
    expect(names(withSend(sound, 0, { verdict: { kind: 'persisted', seq: 1, duplicate: false } }))).toEqual([
      'PERSISTED_ELSEWHERE',
    ]);
  });

  it('names a send without outcome and a refusal that was stored all the same', () => {
    const sound = soundHistory();
    expect(names(withSend(sound, 0, { verdict: undefined }))).toEqual(['NO_OUTCOME']);
    const rejected = { kind: 'rejected', code: 'FORBIDDEN', seq: 9 } as const;
    expect(names(withSend(sound, 0, { verdict: rejected }))).toEqual(['REJECTED_BUT_STORED']);
  });

  it("names a sender's messages out of order", () => {
    const sound = soundHistory();
    const swapped = withSend(withSend(sound, 0, { order: 1 }), 1, { order: 0 });
    expect(names(swapped)).toEqual(['SENDER_REORDERED']);
  });

  it('names a command row that is missing, doubled or of another seq', () => {
    const sound = soundHistory();
    expect(names({ ...sound, commands: sound.commands.slice(1) })).toEqual(['COMMAND_ROW_WRONG']);
    expect(names({ ...sound, commands: [...sound.commands, at(sound.commands, 0)] })).toEqual([
      'COMMAND_ROW_WRONG',
    ]);
    const moved = sound.commands.map((row, i) => (i === 0 ? { ...row, seq: row.seq + 1 } : row));
    expect(names({ ...sound, commands: moved })).toEqual(['COMMAND_ROW_WRONG']);
  });

  it('names what a member was not given, given twice, out of order, or with other content', () => {
    const sound = soundHistory();
    expect(names(withObserver(sound, 0, (o) => ({ deliveries: o.deliveries.slice(1) })))).toEqual([
      'NOT_DELIVERED',
    ]);
    expect(names(withObserver(sound, 0, (o) => ({ deliveries: o.deliveries.slice(0, -1) })))).toEqual([
      'NOT_DELIVERED',
    ]);
    expect(
      names(withObserver(sound, 0, (o) => ({ deliveries: [...o.deliveries, at(o.deliveries, -1)] }))),
    ).toEqual(['DELIVERED_TWICE']);
    expect(
      names(
        withObserver(sound, 0, (o) => ({
          deliveries: [at(o.deliveries, 1), at(o.deliveries, 0), ...o.deliveries.slice(2)],
        })),
      ),
    ).toEqual(['DELIVERED_OUT_OF_ORDER']);
    expect(
      names(
        withObserver(sound, 0, (o) => ({
          deliveries: o.deliveries.map((d, i) => (i === 0 ? { ...d, content: '{}' } : d)),
        })),
      ),
    ).toEqual(['DELIVERED_DIFFERS']);
  });

  it('names what leaked to a removed member, to one who never was in, and what no log holds', () => {
    const sound = soundHistory();
    const hidden = at(
      sound.log.filter(({ payload }) => payload.includes('text 4')),
      0,
    );
    const insert = (o: Observer) => ({
      deliveries: [...o.deliveries, { seq: hidden.seq, content: hidden.payload }].sort(
        (a, b) => a.seq - b.seq,
      ),
    });
    expect(names(withObserver(sound, 1, insert))).toEqual(['LEAKED']);
    expect(names(withObserver(sound, 2, insert))).toEqual(['LEAKED']);
    expect(
      names(withObserver(sound, 1, (o) => ({ deliveries: [...o.deliveries, { seq: 4711, content: '{}' }] }))),
    ).toEqual(['INVENTED']);
  });

  it('names what the API lost, doubled, reordered, changed or showed to one who may not read it', () => {
    const sound = soundHistory();
    expect(names(withApi(sound, 0, (m) => m.slice(1)))).toEqual(['API_LOST']);
    expect(names(withApi(sound, 0, (m) => [...m, at(m, -1)]))).toEqual(['API_DOUBLED']);
    expect(names(withApi(sound, 0, (m) => [...m].reverse()))).toEqual(['API_OUT_OF_ORDER']);
    expect(names(withApi(sound, 0, (m) => m.map((v) => ({ ...v, text: `${v.text}!` }))))).toEqual([
      'API_DIFFERS',
    ]);
    const foreign = at(at(sound.api, 0).messages, 1);
    expect(names(withApi(sound, 1, (m) => [foreign, ...m]))).toEqual(['API_LEAKED']);
    expect(names(withApi(sound, 2, () => [foreign]))).toEqual(['API_LEAKED']);
  });

  it('tells a hole where a resume met the live feed from any other hole', () => {
    const sound = soundHistory();
    const first = at(at(sound.observers, 0).deliveries, 0).seq;
    const without = (seq: number) => (o: Observer) => ({
      deliveries: o.deliveries.filter((d) => d.seq !== seq),
      resumes: [{ fromSeq: first, head: first + 2 }],
    });
    expect(names(withObserver(sound, 0, without(first + 1)))).toEqual(['RESUME_GAP']);
    expect(names(withObserver(sound, 0, without(first + 2)))).toEqual(['RESUME_GAP']);
    // The first event behind the head is where the live feed begins.
    expect(names(withObserver(sound, 0, without(first + 4)))).toEqual(['RESUME_GAP']);
    expect(names(withObserver(sound, 0, without(first)))).toEqual(['NOT_DELIVERED']);
  });

  it('names a command that was accepted and has no outcome in the log', () => {
    const sound = soundHistory();
    const stored = { sender: alice, id: uuid(1) as CommandId };
    expect(names({ ...sound, accepted: [stored] })).toEqual([]);
    expect(names({ ...sound, accepted: [stored, { ...stored, id: uuid(78) as CommandId }] })).toEqual([
      'ACCEPTED_WITHOUT_OUTCOME',
    ]);
  });

  it('names a page that lacks what its reader knew, has a hole, or holds what the log does not', () => {
    const sound = soundHistory();
    const messages = at(sound.api, 3).messages;
    const page = { userId: carol, channelId: open, minSeq: at(messages, -1).seq, messages };
    expect(names({ ...sound, reads: [page] })).toEqual([]);
    expect(names({ ...sound, reads: [{ ...page, messages: messages.slice(0, -1) }] })).toEqual([
      'READ_STALE',
    ]);
    expect(names({ ...sound, reads: [{ ...page, messages: messages.filter((_, i) => i !== 1) }] })).toEqual([
      'READ_WRONG',
    ]);
    const foreign = messages.map((message) => ({ ...message, id: uuid(79) }));
    expect(names({ ...sound, reads: [{ ...page, messages: foreign }] })).toEqual(['READ_WRONG']);
  });

  it('names unread counts and read marks that are not those of the log', () => {
    const sound = soundHistory();
    const view = {
      id: open,
      kind: 'public',
      role: 'member',
      lastChannelSeq: 3,
      readUpTo: 0,
      unreadCount: 3,
      seq: 1,
    } as const;
    expect(names({ ...sound, lists: [{ userId: carol, channels: [view] }] })).toEqual([]);
    for (const wrong of [{ unreadCount: 2 }, { readUpTo: 1 }]) {
      const lists = [{ userId: carol, channels: [{ ...view, ...wrong }] }];
      expect(names({ ...sound, lists })).toEqual(['UNREAD_WRONG']);
    }
  });

  it('takes a log that begins behind a known seq, and digests for bytes', () => {
    const sound = soundHistory();
    const from = at(sound.log, 0).seq;
    const cut = { log: sound.log.slice(1), stream: sound.stream.slice(1) };
    expect(names({ ...sound, ...cut })).toEqual(['LOG_GAP']);
    expect(names({ ...sound, ...cut, afterSeq: new Map([[0, from]]) })).toEqual([]);
    const digest = (payload: string) => `#${payload.length}`;
    const observers = sound.observers.map((o) => ({
      ...o,
      deliveries: o.deliveries.map(({ seq, content }) => ({ seq, content: digest(content) })),
    }));
    expect(names({ ...sound, observers, digest })).toEqual([]);
    expect(names({ ...sound, digest })).toEqual(['DELIVERED_DIFFERS']);
  });
});
