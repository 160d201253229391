/** The list of a user's channels with what is unread in each. */

import type { ChannelView } from '@chat/contracts/http';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import { visibleAfter } from '../port.ts';
import type { ChannelDoc, ChannelMemberDoc, MessageDoc, ReadMarkDoc } from './collections.ts';
import { below, channelKey, memberKey, messageKey } from './keys.ts';
import { type Reader, inChunks } from './snapshot.ts';

type Listed = {
  readonly key: string;
  readonly channel: ChannelDoc;
  readonly member: ChannelMemberDoc | undefined;
  readonly mark: ReadMarkDoc | undefined;
  /** Messages after this channelSeq, but not one's own, are unread. */
  readonly after: number;
};

/** The asker is a member of the team. Ordered by id. */
export const channelViews = async (
  reader: Reader,
  teamId: TeamId,
  userId: UserId,
): Promise<readonly ChannelView[]> => {
  const listed = await listChannels(reader, teamId, userId);
  const unread = await unreadCounts(reader, teamId, userId, listed);
  const direct = listed.filter(({ channel }) => channel.info.kind === 'direct').map(({ key }) => key);
  const memberIds = await memberIdsOf(reader, direct);
  return listed.map(({ key, channel, member, mark }) => {
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
};

const listChannels = async (reader: Reader, teamId: TeamId, userId: UserId): Promise<Listed[]> => {
  const { list, collections } = reader;
  const own = below(memberKey({ teamId, userId }));
  const keyOf = (channelId: ChannelId) => channelKey({ teamId, channelId });
  const memberRows = await list(collections.channelMember, { _id: own, removed: false });
  const markRows = await list(collections.readMark, { _id: own });
  const publicRows = await list(collections.channel, { 'info.publicKey': below(teamId) });
  const members = new Map(memberRows.map((row) => [keyOf(row.channelId), row]));
  const marks = new Map(markRows.map((row) => [keyOf(row.channelId), row]));
  const channels = new Map(publicRows.map((row) => [row._id, row]));
  const others = [...members.keys()].filter((key) => !channels.has(key));
  const otherRows = await inChunks(others, (chunk) =>
    list(collections.channel, { _id: { $in: [...chunk] } }),
  );
  for (const row of otherRows) channels.set(row._id, row);
  return [...channels]
    .map(([key, channel]) => {
      const member = members.get(key);
      const lastMark = marks.get(key);
      // A mark from before a re-join is void, as it is for the writer.
      const mark = member && lastMark && lastMark.seq > member.sinceSeq ? lastMark : undefined;
      const floor = visibleAfter(channel.info.kind, member?.sinceChannelSeq ?? 0);
      return { key, channel, member, mark, after: Math.max(mark?.upTo ?? 0, floor) };
    })
    .sort((a, b) => (a.key < b.key ? -1 : 1));
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
