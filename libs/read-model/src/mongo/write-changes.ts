/**
 * The rows of a folded batch as bulk writes. Every write (but messages that are inserted) is guarded by `seq` within an
 * update pipeline, because the usual guard (`{_id, seq: {$lt}}` with upsert) turns a stale row away with error 11000, which ends a transaction.
 */

import type { AnyBulkWriteOperation, ClientSession, Collection, Document, Filter } from 'mongodb';
import type { Changes, MessageRow } from '../fold.ts';
import type { MemberKey } from '../port.ts';
import type {
  ChangedMemberDoc,
  ChannelDoc,
  ChannelMemberDoc,
  Collections,
  MessageDoc,
  ReadMarkDoc,
  TeamMemberDoc,
} from './collections.ts';
import { below, channelKey, channelMemberKey, memberKey, messageKey, teamOfUserKey } from './keys.ts';

type Ops<D extends Document> = AnyBulkWriteOperation<D>[];

/** A missing field is less than every number. `$literal`: a text may begin with `$`. */
const ifNewer = (seqField: string, seq: number, value: Document, otherwise: string): Document => ({
  $cond: [{ $lt: [seqField, seq] }, { $literal: value }, otherwise],
});

const updateWith = <D extends { readonly _id: string }>(
  _id: string,
  update: Document[],
  upsert: boolean,
): AnyBulkWriteOperation<D> => ({ updateOne: { filter: { _id } as Filter<D>, update, upsert } });

/** The whole row, unless one as new is there. */
const put = <D extends { readonly _id: string; readonly seq: number }>(row: D): AnyBulkWriteOperation<D> =>
  updateWith(row._id, [{ $replaceWith: ifNewer('$seq', row.seq, row, '$$ROOT') }], true);

const write = async <D extends Document>(
  session: ClientSession,
  collection: Collection<D>,
  ops: Ops<D>,
): Promise<void> => {
  if (ops.length > 0) await collection.bulkWrite(ops, { session, ordered: true });
};

export const writeChanges = async (
  session: ClientSession,
  collections: Collections,
  partition: number,
  changes: Changes,
  how: MessageWrites = 'upsert',
): Promise<void> => {
  await writeMessages(session, collections, changes, how);
  const teams = [...changes.teams.values()].map(({ teamId, name, seq }) => put({ _id: teamId, name, seq }));
  await write(session, collections.team, teams);
  await write(session, collections.readMark, readMarkOps(changes));
  await write(session, collections.teamMember, teamMemberOps(changes));
  await write(session, collections.channelMember, channelMemberOps(changes));
  await write(session, collections.changedMember, changedMemberOps(partition, changes));
  await write(session, collections.channel, channelOps(changes));
};

/** `insert`: none of them is in the store; otherwise error 11000, and the transaction is over. */
export type MessageWrites = 'insert' | 'upsert';

const writeMessages = async (
  session: ClientSession,
  { message }: Collections,
  { messages }: Changes,
  how: MessageWrites,
): Promise<void> => {
  if (messages.length === 0) return;
  const documents = messages.map(messageDocOf);
  if (how === 'insert') await message.insertMany(documents, { session, ordered: true });
  else await write(session, message, documents.map(put<MessageDoc>));
};

/** Field by field, as it is done for every message: an object made of the rest of another is dear. */
export const messageDocOf = (row: MessageRow): MessageDoc => {
  const { channelSeq, countedSeq, seq, id, actor, at, text } = row;
  const _id = messageKey(row, channelSeq);
  return { _id, channelKey: channelKey(row), channelSeq, countedSeq, seq, id, actor, at, text };
};

const readMarkOps = ({ readMarks }: Changes): Ops<ReadMarkDoc> =>
  [...readMarks.values()].map((row) => {
    const { channelId, upTo, seq } = row;
    return put({ _id: channelMemberKey(row), channelId, upTo, seq });
  });

/** What a channel is and its head are guarded each by its own seq. A head belongs to a channel that is there. */
const channelOps = ({ channels, heads }: Changes): Ops<ChannelDoc> => {
  const infos = [...channels.values()].map(({ teamId, channelId, kind, name, seq }) => {
    const _id = channelKey({ teamId, channelId });
    const named = name === undefined ? {} : { name };
    const info = { kind, ...named, seq, ...(kind === 'public' ? { publicKey: _id } : {}) };
    const set = { channelId, info: ifNewer('$info.seq', seq, info, '$info') };
    return updateWith<ChannelDoc>(_id, [{ $set: set }], true);
  });
  const tops = [...heads.values()].map(({ lastChannelSeq, countedSeq, seq, ...key }) => {
    const head = ifNewer('$head.seq', seq, { lastChannelSeq, countedSeq, seq }, '$head');
    return updateWith<ChannelDoc>(channelKey(key), [{ $set: { head } }], false);
  });
  return [...infos, ...tops];
};

const teamMemberOps = ({ teamMembers }: Changes): Ops<TeamMemberDoc> =>
  [...teamMembers.values()].map((row) =>
    put({
      _id: memberKey(row),
      ...row,
      ...(row.removed ? {} : { activeOf: teamOfUserKey(row.userId, row.teamId) }),
    }),
  );

/** Ends first, then begins: a membership that begins again in this batch has the greater seq and stays. */
const channelMemberOps = (changes: Changes): Ops<ChannelMemberDoc> => {
  const end = (seq: number) => ({ $set: { removed: true, seq }, $unset: { activeChannel: true } }) as const;
  const leavers = [...changes.teamRemovals.values()].map((row) => ({
    updateMany: {
      filter: { _id: below(memberKey(row)), seq: { $lt: row.seq }, removed: false },
      update: end(row.seq),
    },
  }));
  const removals = [...changes.channelRemovals.values()].map((row) => ({
    updateOne: { filter: { _id: channelMemberKey(row), seq: { $lt: row.seq } }, update: end(row.seq) },
  }));
  const joins = [...changes.channelMembers.values()].map(({ teamId, ...row }) =>
    put<ChannelMemberDoc>({
      _id: channelMemberKey({ teamId, ...row }),
      ...row,
      ...(row.removed ? {} : { activeChannel: channelKey({ teamId, channelId: row.channelId }) }),
    }),
  );
  return [...leavers, ...removals, ...joins];
};

const changedMemberOps = (p: number, changes: Changes): Ops<ChangedMemberDoc> => {
  const newest = new Map<string, MemberKey & { readonly seq: number }>();
  const rows = [changes.teamMembers, changes.channelMembers, changes.channelRemovals];
  for (const { teamId, userId, seq } of rows.flatMap((map) => [...map.values()])) {
    const key = memberKey({ teamId, userId });
    if ((newest.get(key)?.seq ?? 0) < seq) newest.set(key, { teamId, userId, seq });
  }
  return [...newest].map(([_id, row]) => put({ _id, p, ...row }));
};
