/**
 * The drift checker's side of MongoDB. A snapshot is a snapshot session; each collection is one cursor over the range of
 * keys that is the partition (or the team). The server cannot hash, so the messages come here in their order and are
 * hashed as they come. A repair takes the checkpoint's `turn`, as a batch does.
 */

import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import type { ClientSession, Collection, Document, Filter } from 'mongodb';
import { type Hash, createHash } from 'node:crypto';
import type { ChannelKey } from '../fold.ts';
import {
  type ChannelDoc,
  type ChannelMemberDoc,
  type MessageDoc,
  type Store,
  type TeamMemberDoc,
  collectionsOf,
  databaseOf,
} from '../mongo/collections.ts';
import { below, channelKey, memberKey, messageKey, teamOfUserKey } from '../mongo/keys.ts';
import type { MongoReadModelDeps } from '../mongo/mongo-read-model.ts';
import { createTransactions } from '../mongo/transactions.ts';
import type { Checkpoint } from '../port.ts';
import { messageDigest } from './digest.ts';
import { createMongoDriftWriter } from './mongo-writer.ts';
import {
  type DriftScope,
  type DriftStore,
  type DriftView,
  type StateRow,
  type StoredMessage,
  type StoredRange,
  rangeOf,
} from './port.ts';
import { rangeBounds } from './postgres-sql.ts';
import { teamPrefixOf } from './postgres.ts';

const PAGE_COUNT = 2_000;
/** Of one cursor, all its pages together; the server keeps snapshots for five minutes. */
const CURSOR_TIMEOUT_MS = 240_000;

/** `asked` connects first, and turns what the driver throws into faults of ours. */
export const createMongoDriftStore = (
  { client, timeoutMs, database }: MongoReadModelDeps & { readonly database: string },
  asked: <T>(fn: () => Promise<T>) => Promise<T>,
): DriftStore => {
  const collections = collectionsOf(databaseOf(client, database));
  const transactions = createTransactions(client, collections, timeoutMs);
  const store: Store = { client, collections, transactions, timeoutMs };
  return {
    inSnapshot: (scope, look) =>
      asked(() =>
        client.withSession({ snapshot: true }, async (session) => {
          const checkpoint = await checkpointOf(store, session, scope.partition, true);
          return look(viewOf(store, session, scope, checkpoint));
        }),
      ),
    exclusively: (partition, write) =>
      asked(() =>
        transactions.run(partition, async (session) => {
          await collections.checkpoint.updateOne({ _id: partition }, { $inc: { turn: 1 } }, { session });
          const checkpoint = await checkpointOf(store, session, partition, false);
          return write(createMongoDriftWriter(store, session, partition, checkpoint));
        }),
      ),
  };
};

const checkpointOf = async (
  { collections, timeoutMs }: Store,
  session: ClientSession,
  partition: number,
  isSnapshot: boolean,
): Promise<Checkpoint | undefined> => {
  const options = { session, maxTimeMS: timeoutMs, ...(isSnapshot ? snapshotConcern() : {}) };
  const row = await collections.checkpoint.findOne({ _id: partition }, options);
  return row ? { epoch: row.epoch, seq: row.seq, digest: row.digest } : undefined;
};

/** A new object each time: the driver writes the time of the snapshot into it. */
const snapshotConcern = () => ({ readConcern: { level: 'snapshot' as const } });

/** Keys of the scope; `~` is after every character of an id. */
const keysOf = ({ partition, teamId }: DriftScope): { readonly $gte: string; readonly $lt: string } =>
  teamId === undefined
    ? { $gte: teamPrefixOf(partition), $lt: `${teamPrefixOf(partition)}~` }
    : { $gte: teamId, $lt: `${teamId}~` };

const viewOf = (
  store: Store,
  session: ClientSession,
  scope: DriftScope,
  checkpoint: Checkpoint | undefined,
): DriftView => {
  const { collections } = store;
  const all = async <D extends Document>(
    collection: Collection<D>,
    onDoc: (doc: D) => void,
    keys: object = keysOf(scope),
  ): Promise<void> => {
    const options = { session, ...snapshotConcern(), batchSize: PAGE_COUNT, maxTimeMS: CURSOR_TIMEOUT_MS };
    const filter = { _id: keys } as unknown as Filter<D>;
    for await (const doc of collection.find(filter, { ...options, sort: { _id: 1 } })) onDoc(doc as D);
  };
  return {
    checkpoint,
    states: async (onRow) => {
      const changed = new Map<string, { readonly p: number; readonly seq: number }>();
      const newest = new Map<string, number>();
      await all(collections.team, ({ _id: teamId, name, seq }) =>
        onRow({ of: 'team', isWhole: true, row: { teamId, name, seq } }),
      );
      await all(collections.changedMember, ({ _id, p, seq }) => void changed.set(_id, { p, seq }));
      await all(collections.channelMember, (doc) => {
        const row = channelMemberRow(doc);
        if (row.of !== 'channel_member') return;
        const key = memberKey(row.row);
        newest.set(key, Math.max(newest.get(key) ?? 0, row.row.seq));
        onRow(row);
      });
      await all(collections.teamMember, (doc) => {
        const change = changed.get(doc._id);
        const isListed =
          change?.p === scope.partition && change.seq === Math.max(doc.seq, newest.get(doc._id) ?? 0);
        onRow(teamMemberRow(doc, isListed));
      });
      await all(collections.channel, (doc) => onRow(channelRow(doc)));
      await all(collections.readMark, ({ _id, upTo, seq, channelId }) => {
        const [teamId, userId, inKey] = partsOf(_id);
        const row = { teamId, userId: userId as UserId, channelId: inKey as ChannelId, upTo, seq };
        onRow({ of: 'read_mark', isWhole: inKey === channelId, row });
      });
    },
    ranges: (_expected, withDigests, onRange) =>
      withRanges(withDigests, onRange, (onDoc) => all(collections.message, onDoc)),
    messages: async (key, range) => {
      const { from, to } = rangeBounds(range);
      const found: StoredMessage[] = [];
      const keys = range < 0 ? below(channelKey(key)) : {};
      await all(collections.message, (doc) => found.push(storedMessage(doc)), {
        ...keys,
        ...(range < 0 ? {} : { $gte: messageKey(key, from) }),
        $lte: messageKey(key, to),
      });
      return found;
    },
  };
};

const partsOf = (_id: string): [TeamId, string, string] => {
  const [teamId = '', second = '', third = ''] = _id.split('/');
  return [teamId as TeamId, second, third];
};

/** `isListed`: the list of changed members says the same. */
const teamMemberRow = (doc: TeamMemberDoc, isListed: boolean): StateRow => {
  const [teamId, userId] = partsOf(doc._id);
  const { role, removed, seq } = doc;
  const activeOf = removed ? undefined : teamOfUserKey(userId as UserId, teamId);
  const isWhole = isListed && doc.teamId === teamId && doc.userId === userId && doc.activeOf === activeOf;
  return { of: 'team_member', isWhole, row: { teamId, userId: userId as UserId, role, removed, seq } };
};

const channelMemberRow = (doc: ChannelMemberDoc): StateRow => {
  const [teamId, userId, channelId] = partsOf(doc._id) as [TeamId, UserId, ChannelId];
  const { role, sinceSeq, sinceChannelSeq, removed, seq } = doc;
  const active = removed ? undefined : channelKey({ teamId, channelId });
  return {
    of: 'channel_member',
    isWhole: doc.userId === userId && doc.channelId === channelId && doc.activeChannel === active,
    row: { teamId, userId, channelId, role, sinceSeq, sinceChannelSeq, removed, seq },
  };
};

const channelRow = (doc: ChannelDoc): StateRow => {
  const [teamId, channelId] = partsOf(doc._id) as [TeamId, ChannelId, string];
  // A head without a channel is what an update left of a document that was removed.
  const { kind, name, seq, publicKey } = doc.info ?? { kind: 'private', name: undefined, seq: 0 };
  const head = doc.head ?? { lastChannelSeq: 0, countedSeq: 0, seq: 0 };
  return {
    of: 'channel',
    isWhole: doc.channelId === channelId && publicKey === (kind === 'public' ? doc._id : undefined),
    row: { teamId, channelId, kind, name, seq },
    head: { teamId, channelId, ...head },
  };
};

const storedMessage = (doc: MessageDoc): StoredMessage => {
  const [teamId, channelId, digits] = partsOf(doc._id) as [TeamId, ChannelId, string];
  const { countedSeq, seq, id, actor, at, text } = doc;
  const channelSeq = Number(digits);
  const isWhole = doc.channelSeq === channelSeq && doc.channelKey === channelKey({ teamId, channelId });
  return { isWhole, row: { teamId, channelId, channelSeq, countedSeq, seq, id, actor, at, text } };
};

type OpenRange = ChannelKey & { readonly range: number; count: number; readonly hash: Hash | undefined };

/** Documents in the order of their keys → ranges. */
const withRanges = async (
  withDigests: boolean,
  onRange: (range: StoredRange) => void,
  read: (onDoc: (doc: MessageDoc) => void) => Promise<void>,
): Promise<void> => {
  let open: OpenRange | undefined;
  const close = (): void => {
    if (!open) return;
    const { teamId, channelId, range, count, hash } = open;
    onRange({ teamId, channelId, range, count, digest: hash?.digest('hex') });
  };
  await read((doc) => {
    const { row, isWhole } = storedMessage(doc);
    const { teamId, channelId } = row;
    const range = rangeOf(row.channelSeq);
    if (!open || open.range !== range || open.channelId !== channelId || open.teamId !== teamId) {
      close();
      open = { teamId, channelId, range, count: 0, hash: withDigests ? createHash('md5') : undefined };
    }
    open.count += 1;
    open.hash?.update(isWhole ? messageDigest(row) : 'broken');
  });
  close();
};
