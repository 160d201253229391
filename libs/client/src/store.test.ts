import type { EventElement } from '@chat/contracts/events';
import type { ChannelView, MessagesResponse, MessageView } from '@chat/contracts/http';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createStore } from './store.ts';

const channelId = 'c1' as ChannelId;
const me = 'alice' as UserId;

const sent = (seq: number, channelSeq: number, actor = 'bob'): EventElement =>
  ({
    seq,
    type: 'message.sent',
    v: 1,
    at: seq,
    channelId,
    channelSeq,
    commandId: `m${channelSeq}`,
    hash: 'h',
    actor,
    data: { text: `text ${channelSeq}` },
  }) as EventElement;

const membership = (
  seq: number,
  type: 'member.added' | 'member.removed',
  userId = 'alice',
  kind = 'public',
): EventElement =>
  ({
    seq,
    type,
    v: 1,
    at: seq,
    channelId,
    commandId: `x${seq}`,
    hash: 'h',
    actor: userId,
    data:
      type === 'member.added' ? { userId, role: 'member', kind, name: 'one' } : { userId, reason: 'left' },
  }) as EventElement;

const view = (over: Partial<ChannelView> = {}): ChannelView => ({
  id: channelId,
  kind: 'public',
  name: 'one',
  role: 'member',
  lastChannelSeq: 0,
  readUpTo: 0,
  unreadCount: 0,
  seq: 1,
  ...over,
});

const message = (channelSeq: number, over: Partial<MessageView> = {}): MessageView => ({
  id: `m${channelSeq}` as never,
  channelId,
  channelSeq,
  seq: 100 + channelSeq,
  actor: 'bob' as UserId,
  at: 0,
  text: `text ${channelSeq}`,
  ...over,
});

const page = (from: number, to: number, over: Partial<MessagesResponse> = {}): MessagesResponse => ({
  epoch: 'e',
  asOf: 100 + to,
  messages: Array.from({ length: to - from + 1 }, (_, i) => message(from + i)),
  hasMoreBefore: from > 1,
  hasMoreAfter: false,
  ...over,
});

const numbers = (store: ReturnType<typeof createStore>): readonly number[] =>
  store.messages(channelId).map(({ channelSeq }) => channelSeq);

const joined = (over: Partial<ChannelView> = {}) => {
  const store = createStore();
  store.setMe(me);
  store.mergeChannels([view(over)], 50, true);
  return store;
};

describe('messages', () => {
  it('stand once and in channel order, whichever way and however often they come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 10 }), fc.boolean()), { maxLength: 30 }),
        (last, pages) => {
          const store = joined();
          const news: number[] = [];
          let live = 0;
          const goLive = (): void => {
            if (live >= last) return;
            live += 1;
            news.push(...store.apply([sent(100 + live, live)]).messages.map((held) => held.channelSeq));
          };
          for (const [where, size, isLiveToo] of pages) {
            if (isLiveToo) goLive();
            // A page as the api gives it: of what stood when it was read, up to the newest.
            const to = live - (where % 2);
            if (to < 1) continue;
            const from = Math.max(1, to - size);
            news.push(...store.mergeMessages(channelId, page(from, to)).map((held) => held.channelSeq));
          }
          while (live < last) goLive();
          const held = numbers(store);
          const first = held[0] ?? 0;
          expect(held).toEqual(Array.from({ length: held.length }, (_, i) => first + i));
          expect(held.at(-1)).toBe(last);
          expect(store.holes()).toEqual([]);
        },
      ),
    );
  });

  it('that are older versions of what is held change nothing, newer ones do', () => {
    const store = joined();
    store.mergeMessages(channelId, page(1, 1, { messages: [message(1, { seq: 10, text: 'new' })] }));
    store.mergeMessages(channelId, page(1, 1, { messages: [message(1, { seq: 9, text: 'old' })] }));
    expect(store.messages(channelId)[0]?.text).toBe('new');
    store.mergeMessages(channelId, page(1, 1, { messages: [message(1, { seq: 11, text: 'newer' })] }));
    expect(store.messages(channelId)[0]?.text).toBe('newer');
  });

  it('that went missing are found as a hole, and the hole closes when they come', () => {
    const store = joined({ lastChannelSeq: 3 });
    store.apply([sent(101, 4), sent(105, 8), sent(106, 9)]);
    expect(store.holes()).toEqual([{ channelId, hole: { from: 5, to: 7, seq: 105 } }]);
    store.mergeMessages(channelId, page(5, 7));
    store.closeHole(channelId, { from: 5, to: 7, seq: 105 });
    expect(store.holes()).toEqual([]);
    expect(numbers(store)).toEqual([4, 5, 6, 7, 8, 9]);
    store.apply([sent(107, 10), sent(109, 12)]);
    expect(store.holes()).toEqual([{ channelId, hole: { from: 11, to: 11, seq: 109 } }]);
  });

  it('that the api does not show either are hidden from us and no hole', () => {
    const store = joined({ lastChannelSeq: 3 });
    store.apply([sent(105, 8)]);
    store.closeHole(channelId, { from: 4, to: 7, seq: 105 });
    expect(store.holes()).toEqual([]);
  });

  it('from before a join are not missed', () => {
    const store = createStore();
    store.setMe(me);
    expect(store.apply([membership(60, 'member.added', 'alice', 'private')]).refreshSeq).toBe(60);
    store.apply([sent(61, 40), sent(62, 41)]);
    expect(store.holes()).toEqual([]);
    store.mergeChannels([view({ kind: 'private', lastChannelSeq: 40, seq: 60 })], 61, false);
    store.apply([sent(64, 43)]);
    expect(store.holes()).toEqual([{ channelId, hole: { from: 42, to: 42, seq: 64 } }]);
  });

  it('held from long ago go when a newest page does not touch them', () => {
    const store = joined();
    store.mergeMessages(channelId, page(1, 5));
    store.mergeMessages(channelId, page(51, 100));
    expect(numbers(store)[0]).toBe(51);
    expect(store.hasMoreBefore(channelId)).toBe(true);
    store.mergeMessages(channelId, page(1, 50), 51);
    expect(numbers(store)).toHaveLength(100);
    expect(store.hasMoreBefore(channelId)).toBe(false);
  });

  it('of a page that was asked for before something else became the oldest are left out', () => {
    const store = joined();
    store.mergeMessages(channelId, page(51, 100));
    expect(store.mergeMessages(channelId, page(1, 20), 21)).toEqual([]);
    expect(numbers(store)[0]).toBe(51);
  });
});

describe('unread counts', () => {
  it('count the others live, and fall to nothing when read', () => {
    const store = joined({ lastChannelSeq: 3, readUpTo: 2, unreadCount: 1 });
    store.apply([sent(104, 4), sent(105, 5, 'alice'), sent(106, 6)]);
    expect(store.channel(channelId)?.unreadCount).toBe(3);
    store.markRead(channelId, 6);
    expect(store.channel(channelId)).toMatchObject({ unreadCount: 0, readUpTo: 6 });
  });

  it('come out the same whether a message is heard before or after the read that counts it', () => {
    const heard = sent(60, 4);
    const counted = view({ lastChannelSeq: 4, readUpTo: 3, unreadCount: 1 });
    const before = joined({ lastChannelSeq: 3, readUpTo: 3 });
    before.apply([heard]);
    before.mergeChannels([counted], 60, false);
    const after = joined({ lastChannelSeq: 3, readUpTo: 3 });
    after.mergeChannels([counted], 60, false);
    after.apply([heard]);
    expect(before.channel(channelId)?.unreadCount).toBe(1);
    expect(after.channel(channelId)?.unreadCount).toBe(1);
  });

  it('keep what was heard after an older read', () => {
    const store = joined({ lastChannelSeq: 3, readUpTo: 3 });
    store.apply([sent(61, 4), sent(62, 5)]);
    store.mergeChannels([view({ lastChannelSeq: 4, readUpTo: 3, unreadCount: 1 })], 61, true);
    expect(store.channel(channelId)?.unreadCount).toBe(2);
  });

  it('do not rise again by a read from before the read mark', () => {
    const store = joined({ lastChannelSeq: 5, readUpTo: 0, unreadCount: 5 });
    store.markRead(channelId, 5);
    store.mergeChannels([view({ lastChannelSeq: 5, readUpTo: 0, unreadCount: 5 })], 55, true);
    expect(store.channel(channelId)).toMatchObject({ readUpTo: 5, unreadCount: 0 });
  });

  it('follow a read mark made on another device', () => {
    const store = joined();
    store.apply([sent(101, 1), sent(102, 2), sent(103, 3)]);
    store.apply([
      {
        seq: 104,
        type: 'read.marked',
        v: 1,
        at: 1,
        channelId,
        commandId: 'r',
        hash: 'h',
        actor: me,
        data: { upTo: 2 },
      } as never,
    ]);
    expect(store.channel(channelId)?.unreadCount).toBe(1);
  });
});

describe('membership', () => {
  it('is not revived by a read from before one left', () => {
    const store = joined({ kind: 'private' });
    store.apply([membership(60, 'member.removed', 'alice', 'private')]);
    expect(store.channel(channelId)).toBeUndefined();
    store.mergeChannels([view({ kind: 'private' })], 59, true);
    expect(store.channel(channelId)).toBeUndefined();
    expect(store.messages(channelId)).toEqual([]);
    store.mergeChannels([view({ kind: 'private', seq: 70 })], 70, true);
    expect(store.channel(channelId)?.role).toBe('member');
  });

  it('is not ended by a read from before one joined', () => {
    const store = createStore();
    store.setMe(me);
    store.apply([membership(60, 'member.added')]);
    store.mergeChannels([], 59, true);
    expect(store.channel(channelId)?.role).toBe('member');
    store.mergeChannels([], 60, true);
    expect(store.channel(channelId)).toBeUndefined();
  });

  it('of a public channel ends without hiding the channel', () => {
    const store = joined();
    store.apply([membership(60, 'member.removed')]);
    expect(store.channel(channelId)).toMatchObject({ name: 'one' });
    expect(store.channel(channelId)?.role).toBeUndefined();
  });

  it('lists who is there, whichever of event and read is newer', () => {
    const store = joined();
    store.watchMembers(channelId);
    store.apply([membership(60, 'member.added', 'carol'), membership(61, 'member.removed', 'bob')]);
    const members = [
      { userId: 'alice' as UserId, role: 'owner' as const },
      { userId: 'bob' as UserId, role: 'member' as const },
    ];
    store.mergeMembers(channelId, { epoch: 'e', asOf: 59, members });
    expect(store.members(channelId).map(({ userId }) => userId)).toEqual(['carol', 'alice']);
    store.mergeMembers(channelId, { epoch: 'e', asOf: 62, members });
    expect(store.members(channelId).map(({ userId }) => userId)).toEqual(['alice', 'bob']);
  });

  it('of another epoch is forgotten, but what is open stays open', () => {
    const store = joined();
    store.setOpen(channelId, true);
    store.apply([sent(60, 1)]);
    store.reset();
    expect(store.channels()).toEqual([]);
    expect(store.openChannelIds()).toEqual([channelId]);
  });
});
