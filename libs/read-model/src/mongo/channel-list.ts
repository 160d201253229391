/** A page of the list of a user's channels with what is unread in each. */

import type { ChannelView } from '@chat/contracts/http';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import { cutList } from '../page.ts';
import { type ListRequest, visibleAfter } from '../port.ts';
import type { ChannelDoc, ChannelMemberDoc, MessageDoc, ReadMarkDoc } from './collections.ts';
import { belowAfter, channelKey, channelMemberKey, memberKey, messageKey } from './keys.ts';
import { type Reader, inChunks } from './snapshot.ts';

type Listed = {
  readonly key: string;
  readonly channel: ChannelDoc;
  readonly member: ChannelMemberDoc | undefined;
  readonly mark: ReadMarkDoc | undefined;
  /** Messages after this channelSeq, but not one's own, are unread. */
  readonly after: number;
};

/** The asker is a member of the team. By id. */
export const channelViews = async (
  reader: Reader,
  teamId: TeamId,
  userId: UserId,
  page: ListRequest<ChannelId>,
): Promise<{ readonly channels: readonly ChannelView[]; readonly hasMore: boolean }> => {
  const { entries: listed, hasMore } = await listChannels(reader, teamId, userId, page);
  const unread = await unreadCounts(reader, teamId, userId, listed);
  const direct = listed.filter(({ channel }) => channel.info.kind === 'direct').map(({ key }) => key);
  const memberIds = await memberIdsOf(reader, direct);
  const channels = listed.map(({ key, channel, member, mark }): ChannelView => {
    const { kind, name, seq } = channel.info;
    return {
      id: channel.channelId,
      kind,
      ...(name === undefined ? {} : { name }),
      ...(kind === 'direct' ? { memberIds: memberIds.get(key) ?? [] } : {}),
      ...(member ? { role: member.role } : {}),
      lastChannelSeq: channel.head?.lastChannelSeq ?? 0,
      readUpTo: mark?.upTo ?? 0,
      unreadCount: unread.get(key) ?? 0,
      seq: Math.max(seq, channel.head?.seq ?? 0, member?.seq ?? 0, mark?.seq ?? 0),
    };
  });
  return { channels, hasMore };
};

/**
 * Public channels and the user's own, each from the page's beginning on and no more than the page holds; the first of both
 * together are the page. One's own channel in it is always among one's own that were read: fewer stand before it.
 */
const listChannels = async (
  reader: Reader,
  teamId: TeamId,
  userId: UserId,
  { after, limitCount }: ListRequest<ChannelId>,
): Promise<{ readonly entries: readonly Listed[]; readonly hasMore: boolean }> => {
  const { list, collections } = reader;
  const readCount = limitCount + 1;
  const keyOf = (channelId: ChannelId) => channelKey({ teamId, channelId });
  const mine = { _id: belowAfter(memberKey({ teamId, userId }), after), removed: false };
  const memberRows = await list(collections.channelMember, mine, { _id: 1 }, readCount);
  const open = { 'info.publicKey': belowAfter(teamId, after) };
  const publicRows = await list(collections.channel, open, { 'info.publicKey': 1 }, readCount);
  const members = new Map(memberRows.map((row) => [keyOf(row.channelId), row]));
  const channels = new Map(publicRows.map((row) => [row._id, row]));
  const byKey = (a: string, b: string) => (a < b ? -1 : 1);
  const keys = [...new Set([...members.keys(), ...channels.keys()])].sort(byKey);
  const page = cutList(keys, limitCount);
  const others = page.entries.filter((key) => !channels.has(key));
  const otherRows = await inChunks(others, (chunk) =>
    list(collections.channel, { _id: { $in: [...chunk] } }),
  );
  for (const row of otherRows) channels.set(row._id, row);
  const own = page.entries.flatMap((key) => members.get(key) ?? []);
  const marks = await marksOf(reader, teamId, userId, own);
  const entries = page.entries
    .flatMap((key) => channels.get(key) ?? [])
    .map((channel): Listed => {
      const key = channel._id;
      const member = members.get(key);
      const lastMark = marks.get(key);
      // A mark from before a re-join is void, as it is for the writer.
      const mark = member && lastMark && lastMark.seq > member.sinceSeq ? lastMark : undefined;
      const floor = visibleAfter(channel.info.kind, member?.sinceChannelSeq ?? 0);
      return { key, channel, member, mark, after: Math.max(mark?.upTo ?? 0, floor) };
    });
  return { entries, hasMore: page.hasMore };
};

const marksOf = async (
  { list, collections }: Reader,
  teamId: TeamId,
  userId: UserId,
  members: readonly ChannelMemberDoc[],
): Promise<ReadonlyMap<string, ReadMarkDoc>> => {
  const keys = members.map(({ channelId }) => channelMemberKey({ teamId, userId, channelId }));
  const rows = await inChunks(keys, (chunk) => list(collections.readMark, { _id: { $in: [...chunk] } }));
  return new Map(rows.map((row) => [channelKey({ teamId, channelId: row.channelId }), row]));
};

/** What counts up to the head, less what counted at `after`, less one's own since. */
const unreadCounts = async (
  { list, aggregate, collections }: Reader,
  teamId: TeamId,
  userId: UserId,
  listed: readonly Listed[],
): Promise<ReadonlyMap<string, number>> => {
  const behind = listed.filter(
    ({ member, channel, after }) => member && (channel.head?.lastChannelSeq ?? 0) > after,
  );
  const reads = behind.filter(({ after }) => after > 0);
  const marked = await inChunks(reads, (chunk) => {
    const keys = chunk.map(({ channel, after }) =>
      messageKey({ teamId, channelId: channel.channelId }, after),
    );
    return list<MessageDoc>(collections.message, { _id: { $in: keys } });
  });
  const own = await inChunks(behind, (chunk) => {
    const ranges = chunk.map(({ key, after }) => ({
      channelKey: key,
      actor: userId,
      channelSeq: { $gt: after },
    }));
    return aggregate<MessageDoc, { _id: string; count: number }>(collections.message, [
      { $match: { $or: ranges } },
      { $group: { _id: '$channelKey', count: { $sum: 1 } } },
    ]);
  });
  const countedAt = new Map(marked.map((row) => [row.channelKey, row.countedSeq]));
  const ownSince = new Map(own.map(({ _id, count }) => [_id, count]));
  return new Map(
    behind.map(({ key, channel }) => {
      const counted = channel.head?.countedSeq ?? 0;
      return [key, counted - (countedAt.get(key) ?? 0) - (ownSince.get(key) ?? 0)];
    }),
  );
};

const memberIdsOf = async (
  { list, collections }: Reader,
  keys: readonly string[],
): Promise<ReadonlyMap<string, readonly UserId[]>> => {
  const rows = await inChunks(keys, (chunk) =>
    list(collections.channelMember, { activeChannel: { $in: [...chunk] } }),
  );
  const ids = new Map<string, UserId[]>();
  for (const { activeChannel = '', userId } of rows) {
    const known = ids.get(activeChannel);
    if (known) known.push(userId);
    else ids.set(activeChannel, [userId]);
  }
  for (const list of ids.values()) list.sort();
  return ids;
};
