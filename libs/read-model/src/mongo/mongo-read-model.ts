/** The read model in MongoDB (6.0 or newer, a replica set or sharded): see collections.ts, apply.ts and snapshot.ts. */

import type { MessageView } from '@chat/contracts/http';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import type { MongoClient } from 'mongodb';
import { boundsOf, cutList, pageOf } from '../page.ts';
import type {
  ListRequest,
  MemberList,
  MessagePage,
  PageRequest,
  ReadModel,
  Refusal,
  TeamList,
  VisibleChannels,
} from '../port.ts';
import { visibleAfter } from '../port.ts';
import { applyBatch } from './apply.ts';
import { channelViews } from './channel-list.ts';
import { createCheckpoints } from './checkpoints.ts';
import { type MessageDoc, READ_DATABASE, collectionsOf, databaseOf } from './collections.ts';
import { below, belowAfter, channelKey, channelMemberKey, memberKey, messageKey } from './keys.ts';
import { type Reader, inChunks, inSnapshot, stampOf, teamRoleOf } from './snapshot.ts';
import { createTransactions } from './transactions.ts';

export type MongoReadModelDeps = {
  /** Owned by the caller, who closes it. */
  readonly client: MongoClient;
  /** See `MongoClientOptions`. */
  readonly timeoutMs: number;
  readonly database?: string;
};

const teamNotFound: Refusal = { kind: 'team_not_found' };
const channelNotFound: Refusal = { kind: 'channel_not_found' };

export const createMongoReadModel = ({
  client,
  timeoutMs,
  database = READ_DATABASE,
}: MongoReadModelDeps): ReadModel => {
  const collections = collectionsOf(databaseOf(client, database));
  const transactions = createTransactions(client, collections, timeoutMs);
  const store = { client, collections, transactions, timeoutMs };
  const { guarded, checkpoint, adoptEpoch } = createCheckpoints(client, collections.checkpoint, timeoutMs);
  const ask = <T>(fn: (reader: Reader) => Promise<T>): Promise<T> => guarded(() => inSnapshot(store, fn));

  return {
    checkpoint,
    applyBatch: (batch) => guarded(() => applyBatch(store, batch)),
    adoptEpoch,
    teamsOf: (userId, page) => ask((reader) => teamsOf(reader, userId, page)),
    channels: (teamId, userId, page) =>
      ask(async (reader) => {
        const stamp = await stampOf(reader, teamId);
        if (!stamp || !(await teamRoleOf(reader, teamId, userId))) return teamNotFound;
        return { kind: 'found', ...stamp, ...(await channelViews(reader, teamId, userId, page)) };
      }),
    messages: (teamId, channelId, userId, page) =>
      ask((reader) => messagesOf(reader, teamId, channelId, userId, page)),
    members: (teamId, channelId, userId, page) =>
      ask((reader) => membersOf(reader, teamId, channelId, userId, page)),
    visibleChannels: (teamId, userId) => ask((reader) => visibleChannelsOf(reader, teamId, userId)),
    membership: (teamId, userId) =>
      ask(async (reader) => {
        const stamp = await stampOf(reader, teamId);
        if (!stamp) return undefined;
        const role = await teamRoleOf(reader, teamId, userId);
        if (!role) return { ...stamp, channels: [] };
        const filter = { _id: below(memberKey({ teamId, userId })), removed: false };
        const rows = await reader.list(collections.channelMember, filter, { _id: 1 });
        const channels = rows.map((row) => ({ id: row.channelId, sinceSeq: row.sinceSeq, role: row.role }));
        return { ...stamp, role, channels };
      }),
    changedMembers: (partition, afterSeq, limitCount) =>
      guarded(async () => {
        const rows = await collections.changedMember
          .find(
            { p: partition, seq: { $gt: afterSeq } },
            { sort: { seq: 1 }, limit: limitCount, maxTimeMS: timeoutMs },
          )
          .toArray();
        return rows.map(({ teamId, userId, seq }) => ({ teamId, userId, seq }));
      }),
  };
};

const teamsOf = async (
  { list, collections }: Reader,
  userId: UserId,
  { after, limitCount }: ListRequest<TeamId>,
): Promise<TeamList> => {
  const filter = { activeOf: belowAfter(userId, after) };
  const rows = await list(collections.teamMember, filter, { activeOf: 1 }, limitCount + 1);
  const { entries: mine, hasMore } = cutList(rows, limitCount);
  const ids = mine.map(({ teamId }) => teamId);
  const teams = await inChunks(ids, (chunk) => list(collections.team, { _id: { $in: [...chunk] } }));
  const names = new Map(teams.map(({ _id, name }) => [_id, name]));
  const named = mine.flatMap(({ teamId, role }) => {
    const name = names.get(teamId);
    return name === undefined ? [] : [{ id: teamId, name, role }];
  });
  return { teams: named, hasMore };
};

const visibleChannelsOf = async (
  reader: Reader,
  teamId: TeamId,
  userId: UserId,
): Promise<VisibleChannels | Refusal> => {
  const { list, collections } = reader;
  const stamp = await stampOf(reader, teamId);
  if (!stamp || !(await teamRoleOf(reader, teamId, userId))) return teamNotFound;
  // By their key, hence by channel.
  const own = { _id: below(memberKey({ teamId, userId })), removed: false };
  const members = await list(collections.channelMember, own, { _id: 1 });
  const keys = members.map(({ channelId }) => channelKey({ teamId, channelId }));
  const rows = await inChunks(keys, (chunk) => list(collections.channel, { _id: { $in: [...chunk] } }));
  const kinds = new Map(rows.map((row) => [row.channelId, row.info.kind]));
  const channels = members.flatMap(({ channelId, sinceChannelSeq }) => {
    const kind = kinds.get(channelId);
    return kind ? [{ channelId, visibleAfter: visibleAfter(kind, sinceChannelSeq) }] : [];
  });
  return { kind: 'found', ...stamp, channels };
};

/** What the asker may know of the channel, or the refusal. */
const accessOf = async (reader: Reader, teamId: TeamId, channelId: ChannelId, userId: UserId) => {
  const { one, collections } = reader;
  const stamp = await stampOf(reader, teamId);
  if (!stamp || !(await teamRoleOf(reader, teamId, userId))) return teamNotFound;
  const memberId = channelMemberKey({ teamId, userId, channelId });
  const member = await one(collections.channelMember, { _id: memberId });
  if (!member || member.removed) return channelNotFound;
  const channel = await one(collections.channel, { _id: channelKey({ teamId, channelId }) });
  return channel ? { kind: 'found' as const, stamp, member, channel } : channelNotFound;
};

const messagesOf = async (
  reader: Reader,
  teamId: TeamId,
  channelId: ChannelId,
  userId: UserId,
  page: PageRequest,
): Promise<MessagePage | Refusal> => {
  const access = await accessOf(reader, teamId, channelId, userId);
  if (access.kind !== 'found') return access;
  const { stamp, member, channel } = access;
  const floor = visibleAfter(channel.info.kind, member.sinceChannelSeq);
  const { message } = reader.collections;
  const bounds = boundsOf(page);
  const key = { teamId, channelId };
  const read = (_id: { $gt: string; $lt: string }, direction: 1 | -1, limitCount: number) =>
    // To MongoDB, limit 0 means all.
    limitCount <= 0 ? [] : reader.list(message, { _id }, { _id: direction }, limitCount);
  const older = { $gt: messageKey(key, floor), $lt: messageKey(key, bounds.below) };
  const newer = { $gt: messageKey(key, Math.max(floor, bounds.above)), $lt: below(channelKey(key)).$lt };
  const lower = await read(older, -1, bounds.belowCount);
  const upper = await read(newer, 1, bounds.aboveCount);
  const messages = [...lower.reverse(), ...upper].map((row) => messageViewOf(channelId, row));
  return { kind: 'found', ...stamp, ...pageOf(page, messages, floor, channel.head?.lastChannelSeq ?? 0) };
};

const messageViewOf = (
  channelId: ChannelId,
  { id, channelSeq, seq, actor, at, text }: MessageDoc,
): MessageView => ({ id, channelId, channelSeq, seq, actor, at, text });

const membersOf = async (
  reader: Reader,
  teamId: TeamId,
  channelId: ChannelId,
  userId: UserId,
  { after, limitCount }: ListRequest<UserId>,
): Promise<MemberList | Refusal> => {
  const access = await accessOf(reader, teamId, channelId, userId);
  if (access.kind !== 'found') return access;
  const activeChannel = channelKey({ teamId, channelId });
  const filter = { activeChannel, ...(after === undefined ? {} : { userId: { $gt: after } }) };
  const { channelMember } = reader.collections;
  const rows = await reader.list(channelMember, filter, { userId: 1 }, limitCount + 1);
  const { entries, hasMore } = cutList(rows, limitCount);
  const members = entries.map(({ userId: id, role }) => ({ userId: id, role }));
  return { kind: 'found', ...access.stamp, members, hasMore };
};
