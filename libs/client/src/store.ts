/**
 * What this client knows of its team: channels, messages, unread counts, read marks, members. Two sources
 * feed it, in any interleaving: events in seq order (live and replayed), and reads from the api, each a
 * state "as of" a seq. A fact is applied only if it is newer than what is held:
 * - membership and existence of a channel carry the seq of the event that changed them (`seq`);
 * - message numbers and read marks only grow;
 * - a channel we left, or that a read no longer holds, leaves a tombstone, so that an older read cannot revive it.
 */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { EventElement, EventOf } from '@chat/contracts/events';
import type { ChannelView, MembersResponse, MessagesResponse, MessageView } from '@chat/contracts/http';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import {
  CLOSED_KEEP_COUNT,
  type Hole,
  OPEN_KEEP_COUNT,
  type Timeline,
  createTimeline,
  dropIfBehind,
  holeOf,
  mergePage,
  noteArrived,
  putMessage,
  raiseTip,
  trim,
} from './timeline.ts';

export type Channel = {
  readonly id: ChannelId;
  readonly kind: ChannelKind;
  readonly name?: string;
  /** Others of a direct channel, as far as known. */
  readonly memberIds: readonly UserId[];
  /** Absent: a public channel that we have not joined. */
  readonly role?: Role;
  readonly lastChannelSeq: number;
  readonly readUpTo: number;
  readonly unreadCount: number;
};

type ChannelRecord = {
  id: ChannelId;
  kind: ChannelKind;
  name: string | undefined;
  memberIds: readonly UserId[];
  role: Role | undefined;
  /** Not visible to us (left, removed, gone). */
  isGone: boolean;
  /** seq of the newest applied fact about existence and our membership. */
  seq: number;
  lastChannelSeq: number;
  readUpTo: number;
  unreadCount: number;
  /** Messages up to this number are accounted for in `unreadCount`. */
  countedUpTo: number;
  timeline: Timeline;
  isOpen: boolean;
};

/** Who is in a channel; a removed member keeps its seq as a tombstone. */
type MemberRecord = { readonly role: Role | undefined; readonly seq: number };

export type StoreNews = {
  /** Messages that were not held before, in the order applied. */
  readonly messages: readonly MessageView[];
  /** A read of the channel list is needed that reaches this seq (we joined something). */
  readonly refreshSeq?: number;
};

export const messageOf = (event: EventOf<'message.sent'>): MessageView | undefined =>
  event.channelId === undefined || event.channelSeq === undefined
    ? undefined
    : {
        id: event.commandId,
        channelId: event.channelId,
        channelSeq: event.channelSeq,
        seq: event.seq,
        actor: event.actor,
        at: event.at,
        text: event.data.text,
      };

const shown = (record: ChannelRecord): Channel => ({
  id: record.id,
  kind: record.kind,
  ...(record.name === undefined ? {} : { name: record.name }),
  memberIds: record.memberIds,
  ...(record.role === undefined ? {} : { role: record.role }),
  lastChannelSeq: record.lastChannelSeq,
  readUpTo: record.readUpTo,
  unreadCount: record.unreadCount,
});

export type Store = ReturnType<typeof createStore>;

export const createStore = () => {
  const records = new Map<ChannelId, ChannelRecord>();
  const members = new Map<ChannelId, Map<UserId, MemberRecord>>();
  /** Channels whose timeline may have a hole. */
  const suspects = new Set<ChannelId>();
  let me: UserId | undefined;

  const recordOf = (id: ChannelId, kind: ChannelKind): ChannelRecord => {
    let record = records.get(id);
    if (!record) {
      record = {
        id,
        kind,
        name: undefined,
        memberIds: [],
        role: undefined,
        isGone: false,
        seq: 0,
        lastChannelSeq: 0,
        readUpTo: 0,
        unreadCount: 0,
        countedUpTo: 0,
        timeline: createTimeline(),
        isOpen: false,
      };
      records.set(id, record);
    }
    return record;
  };

  /** Unread after `readUpTo`, counted on the messages held where they reach back that far, else estimated low to high. */
  const recount = (record: ChannelRecord): void => {
    if (record.readUpTo >= record.lastChannelSeq) record.unreadCount = 0;
    const lowest = record.timeline.messages[0]?.channelSeq;
    const reachesBack = lowest !== undefined && lowest <= record.readUpTo + 1;
    if (!reachesBack && record.unreadCount > 0) {
      record.unreadCount = Math.min(record.unreadCount, record.lastChannelSeq - record.readUpTo);
      return;
    }
    if (!reachesBack) return;
    let count = 0;
    for (let i = record.timeline.messages.length - 1; i >= 0; i -= 1) {
      const message = record.timeline.messages[i];
      if (!message || message.channelSeq <= record.readUpTo) break;
      if (message.actor !== me) count += 1;
    }
    record.unreadCount = count;
  };

  const applyMessage = (event: EventOf<'message.sent'>, news: MessageView[]): void => {
    const message = messageOf(event);
    if (!message) return;
    const record = recordOf(message.channelId, 'public');
    if (putMessage(record.timeline, message)) news.push(message);
    noteArrived(record.timeline, message.channelSeq, message.seq);
    if (record.timeline.beyond.length > 0) suspects.add(record.id);
    trim(record.timeline, record.isOpen ? OPEN_KEEP_COUNT : CLOSED_KEEP_COUNT);
    record.lastChannelSeq = Math.max(record.lastChannelSeq, message.channelSeq);
    if (message.channelSeq <= record.countedUpTo) return;
    record.countedUpTo = message.channelSeq;
    if (message.actor !== me && message.channelSeq > record.readUpTo) record.unreadCount += 1;
  };

  const setMember = (channelId: ChannelId, userId: UserId, role: Role | undefined, seq: number): void => {
    const map = members.get(channelId);
    if (map && (map.get(userId)?.seq ?? 0) < seq) map.set(userId, { role, seq });
  };

  const applyMemberAdded = (event: EventOf<'member.added'>): boolean => {
    const { channelId } = event;
    if (!channelId) return false;
    const { userId, role, kind, name } = event.data;
    setMember(channelId, userId, role, event.seq);
    const record = recordOf(channelId, kind);
    record.kind = kind;
    record.name = name ?? record.name;
    if (kind === 'direct' && userId !== me && !record.memberIds.includes(userId)) {
      record.memberIds = [...record.memberIds, userId];
    }
    if (userId !== me || event.seq <= record.seq) return false;
    const isJoin = record.role === undefined || record.isGone;
    record.seq = event.seq;
    record.role = role;
    record.isGone = false;
    // What was said while we were away is not owed to us: the next number we hear begins the count anew.
    if (!isJoin) return false;
    if (record.isOpen && kind === 'public') {
      // It was read along before; its newest page is read again now, which replaces or touches what is held.
      record.timeline.tip = undefined;
      record.timeline.beyond = [];
    } else record.timeline = createTimeline();
    return true;
  };

  const applyMemberRemoved = (event: EventOf<'member.removed'>): void => {
    const { channelId } = event;
    if (!channelId) return;
    setMember(channelId, event.data.userId, undefined, event.seq);
    const record = records.get(channelId);
    if (!record) return;
    if (event.data.userId !== me || event.seq <= record.seq) return;
    leave(record, event.seq);
  };

  const leave = (record: ChannelRecord, seq: number): void => {
    record.seq = seq;
    record.role = undefined;
    record.unreadCount = 0;
    record.timeline.tip = undefined;
    record.timeline.beyond = [];
    if (record.kind === 'public') return;
    record.isGone = true;
    record.timeline = createTimeline();
  };

  const applyEvent = (event: EventElement, news: MessageView[]): boolean => {
    switch (event.type) {
      case 'message.sent':
        applyMessage(event, news);
        return false;
      case 'channel.created': {
        if (!event.channelId) return false;
        const record = recordOf(event.channelId, event.data.kind);
        record.kind = event.data.kind;
        record.name = event.data.name ?? record.name;
        record.seq = Math.max(record.seq, event.seq);
        return false;
      }
      case 'member.added':
        return applyMemberAdded(event);
      case 'member.removed':
        applyMemberRemoved(event);
        return false;
      case 'read.marked': {
        const record = event.channelId && records.get(event.channelId);
        if (record) setReadMark(record, event.data.upTo);
        return false;
      }
      case 'team.member_removed':
        for (const [channelId] of members) setMember(channelId, event.data.userId, undefined, event.seq);
        return false;
      default:
        return false;
    }
  };

  const setReadMark = (record: ChannelRecord, upTo: number): void => {
    if (upTo <= record.readUpTo) return;
    record.readUpTo = upTo;
    recount(record);
  };

  const mergeChannel = (view: ChannelView, asOf: number, isSnapshot: boolean): void => {
    const record = recordOf(view.id, view.kind);
    if (record.seq <= asOf) {
      record.kind = view.kind;
      record.name = view.name;
      record.role = view.role;
      record.isGone = false;
      record.seq = Math.max(record.seq, view.seq, 1);
      if (view.memberIds) record.memberIds = view.memberIds.filter((id) => id !== me);
    }
    if (view.role !== undefined && (isSnapshot || record.timeline.tip === undefined)) {
      // An open channel reads its newest page right after, which then replaces or touches what is held.
      if (!record.isOpen) dropIfBehind(record.timeline, view.lastChannelSeq);
      raiseTip(record.timeline, view.lastChannelSeq);
    }
    record.lastChannelSeq = Math.max(record.lastChannelSeq, view.lastChannelSeq);
    const localReadUpTo = record.readUpTo;
    record.readUpTo = Math.max(localReadUpTo, view.readUpTo);
    // The view counts up to its last number; what came after that was heard here.
    const later = record.timeline.messages.filter(
      ({ channelSeq, actor }) =>
        channelSeq > view.lastChannelSeq && channelSeq > record.readUpTo && actor !== me,
    ).length;
    record.unreadCount = (record.readUpTo >= view.lastChannelSeq ? 0 : view.unreadCount) + later;
    record.countedUpTo = Math.max(record.countedUpTo, view.lastChannelSeq);
    if (localReadUpTo > view.readUpTo) recount(record);
  };

  return {
    setMe: (userId: UserId): void => void (me = userId),
    /** Everything held belongs to another epoch. */
    reset: (): void => {
      const open = [...records.values()].filter((record) => record.isOpen);
      records.clear();
      members.clear();
      for (const { id, kind } of open) recordOf(id, kind).isOpen = true;
    },
    apply: (events: readonly EventElement[]): StoreNews => {
      const messages: MessageView[] = [];
      let refreshSeq: number | undefined;
      for (const event of events) if (applyEvent(event, messages)) refreshSeq = event.seq;
      return { messages, ...(refreshSeq === undefined ? {} : { refreshSeq }) };
    },
    /** A read of the whole channel list as of `asOf`. */
    mergeChannels: (views: readonly ChannelView[], asOf: number, isSnapshot: boolean): void => {
      const listed = new Set(views.map(({ id }) => id));
      for (const record of records.values()) {
        if (listed.has(record.id) || record.seq > asOf) continue;
        record.isGone = true;
        record.role = undefined;
        record.timeline = createTimeline();
      }
      for (const view of views) mergeChannel(view, asOf, isSnapshot);
    },
    /**
     * A page of history (newest, a hole's, or the one before `before`); answers the messages not held before.
     * A page asked for with `before` is of no use once something else has become the oldest held.
     */
    mergeMessages: (
      channelId: ChannelId,
      page: MessagesResponse,
      before?: number,
    ): readonly MessageView[] => {
      const record = recordOf(channelId, 'public');
      if (before !== undefined && record.timeline.messages[0]?.channelSeq !== before) return [];
      const added = mergePage(record.timeline, page);
      const last = page.messages.at(-1)?.channelSeq ?? 0;
      record.lastChannelSeq = Math.max(record.lastChannelSeq, last);
      if (record.role !== undefined) recount(record);
      return added;
    },
    /** The api was asked for the hole: what it did not hold is hidden from us. */
    closeHole: (channelId: ChannelId, hole: Hole): void => {
      const record = records.get(channelId);
      if (record?.timeline.tip !== undefined && record.timeline.tip < hole.to)
        raiseTip(record.timeline, hole.to);
    },
    holes: (): readonly { readonly channelId: ChannelId; readonly hole: Hole }[] => {
      const found: { channelId: ChannelId; hole: Hole }[] = [];
      for (const channelId of suspects) {
        const timeline = records.get(channelId)?.timeline;
        const hole = timeline && holeOf(timeline);
        if (hole) found.push({ channelId, hole });
        else if (!timeline || timeline.beyond.length === 0) suspects.delete(channelId);
      }
      return found;
    },
    mergeMembers: (channelId: ChannelId, response: MembersResponse): void => {
      const map = members.get(channelId) ?? new Map<UserId, MemberRecord>();
      const next = new Map<UserId, MemberRecord>();
      for (const [userId, record] of map) if (record.seq > response.asOf) next.set(userId, record);
      for (const { userId, role } of response.members) {
        if (!next.has(userId)) next.set(userId, { role, seq: response.asOf });
      }
      members.set(channelId, next);
    },
    /** Before the members are read, so that what happens meanwhile is kept. */
    watchMembers: (channelId: ChannelId): void => {
      if (!members.has(channelId)) members.set(channelId, new Map());
    },
    members: (channelId: ChannelId): readonly { readonly userId: UserId; readonly role: Role }[] =>
      [...(members.get(channelId) ?? [])].flatMap(([userId, { role }]) => (role ? [{ userId, role }] : [])),
    markRead: (channelId: ChannelId, upTo: number): void => {
      const record = records.get(channelId);
      if (record) setReadMark(record, upTo);
    },
    setOpen: (channelId: ChannelId, isOpen: boolean): void => {
      const record = isOpen ? recordOf(channelId, 'public') : records.get(channelId);
      if (!record) return;
      record.isOpen = isOpen;
      if (!isOpen) trim(record.timeline, CLOSED_KEEP_COUNT);
    },
    openChannelIds: (): readonly ChannelId[] =>
      [...records.values()].filter((record) => record.isOpen && !record.isGone).map(({ id }) => id),
    channel: (channelId: ChannelId): Channel | undefined => {
      const record = records.get(channelId);
      return record && !record.isGone ? shown(record) : undefined;
    },
    channels: (): readonly Channel[] =>
      [...records.values()].filter((record) => !record.isGone && record.seq > 0).map(shown),
    messages: (channelId: ChannelId): readonly MessageView[] =>
      records.get(channelId)?.timeline.messages ?? [],
    hasMoreBefore: (channelId: ChannelId): boolean => records.get(channelId)?.timeline.hasMoreBefore ?? true,
  };
};
