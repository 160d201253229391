/**
 * Collections and indexes of the read model: a database of its own, whose name is a parameter, so that a new
 * version can be built beside the old. Each document carries the `seq` of the event that made it.
 *
 * Fields named `active…` and `public…` exist only where the row is that; their indexes hold nothing else, and
 * each query has exactly one index that serves its range and its order (shown by `explain` in the tests).
 */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import {
  type Binary,
  type Collection,
  type Db,
  type IndexDescription,
  type MongoClient,
  ReadConcern,
} from 'mongodb';
import type { Transactions } from './transactions.ts';

export const READ_DATABASE = 'chat_read';

export type CheckpointDoc = {
  readonly _id: number;
  readonly epoch: string;
  readonly seq: number;
  readonly digest: string;
  /** Raised by every transaction that takes the checkpoint, so that two of them always conflict. */
  readonly turn: number;
};
/** Sessions that may hold an open transaction of the partition (see transactions.ts). */
export type HolderDoc = { readonly _id: number; readonly sessions: Binary[] };
export type TeamDoc = { readonly _id: TeamId; readonly name: string; readonly seq: number };
export type TeamMemberDoc = {
  readonly _id: string;
  readonly teamId: TeamId;
  readonly userId: UserId;
  readonly role: Role;
  /** A tombstone keeps its seq, so that an older event cannot bring the member back. */
  readonly removed: boolean;
  readonly seq: number;
  readonly activeOf?: string;
};
export type ChannelDoc = {
  readonly _id: string;
  readonly channelId: ChannelId;
  readonly info: {
    readonly kind: ChannelKind;
    readonly name?: string;
    readonly seq: number;
    readonly publicKey?: string;
  };
  /** Guarded by its own seq. Missing: no message yet. */
  readonly head?: { readonly lastChannelSeq: number; readonly countedSeq: number; readonly seq: number };
};
export type ChannelMemberDoc = {
  readonly _id: string;
  readonly channelId: ChannelId;
  readonly userId: UserId;
  readonly role: Role;
  readonly sinceSeq: number;
  readonly sinceChannelSeq: number;
  readonly removed: boolean;
  readonly seq: number;
  readonly activeChannel?: string;
};
export type ReadMarkDoc = {
  readonly _id: string;
  readonly channelId: ChannelId;
  readonly upTo: number;
  readonly seq: number;
};
export type MessageDoc = {
  readonly _id: string;
  readonly channelKey: string;
  readonly channelSeq: number;
  readonly countedSeq: number;
  readonly seq: number;
  readonly id: CommandId;
  readonly actor: UserId;
  readonly at: number;
  readonly text: string;
};
/** The newest change of a user's membership value, of team or channels. */
export type ChangedMemberDoc = {
  readonly _id: string;
  readonly p: number;
  readonly teamId: TeamId;
  readonly userId: UserId;
  readonly seq: number;
};

/** What a question or a batch works with. */
export type Store = {
  readonly client: MongoClient;
  readonly collections: Collections;
  readonly transactions: Transactions;
  readonly timeoutMs: number;
};

export type Collections = {
  readonly checkpoint: Collection<CheckpointDoc>;
  readonly holder: Collection<HolderDoc>;
  readonly team: Collection<TeamDoc>;
  readonly teamMember: Collection<TeamMemberDoc>;
  readonly channel: Collection<ChannelDoc>;
  readonly channelMember: Collection<ChannelMemberDoc>;
  readonly readMark: Collection<ReadMarkDoc>;
  readonly message: Collection<MessageDoc>;
  readonly changedMember: Collection<ChangedMemberDoc>;
};

const databasePattern = /^[a-z_][a-z0-9_]{0,39}$/;

/** Reads see what a majority has, writes are acknowledged when a majority has them on disk. Throws RangeError on an odd name. */
export const databaseOf = (client: MongoClient, name: string): Db => {
  if (!databasePattern.test(name))
    throw new RangeError('the read database must be a plain lower-case identifier');
  return client.db(name, {
    readConcern: new ReadConcern('majority'),
    writeConcern: { w: 'majority', journal: true },
    readPreference: 'primary',
  });
};

export const collectionsOf = (db: Db): Collections => ({
  checkpoint: db.collection('checkpoint'),
  holder: db.collection('holder'),
  team: db.collection('team'),
  teamMember: db.collection('team_member'),
  channel: db.collection('channel'),
  channelMember: db.collection('channel_member'),
  readMark: db.collection('read_mark'),
  message: db.collection('message'),
  changedMember: db.collection('changed_member'),
});

const where = (field: string): Pick<IndexDescription, 'partialFilterExpression'> => ({
  partialFilterExpression: { [field]: { $exists: true } },
});

const indexes: { readonly [K in keyof Collections]: readonly IndexDescription[] } = {
  checkpoint: [],
  holder: [],
  team: [],
  teamMember: [{ name: 'active_of', key: { activeOf: 1 }, ...where('activeOf') }],
  channel: [{ name: 'public', key: { 'info.publicKey': 1 }, ...where('info.publicKey') }],
  channelMember: [
    { name: 'active_channel', key: { activeChannel: 1, userId: 1 }, ...where('activeChannel') },
  ],
  readMark: [],
  // One's own messages after the read mark do not count as unread.
  message: [{ name: 'own', key: { channelKey: 1, actor: 1, channelSeq: 1 } }],
  changedMember: [{ name: 'changed', key: { p: 1, seq: 1 } }],
};

const NAMESPACE_EXISTS = 48;

/**
 * Makes collections and indexes that are missing; safe to run again and by several at once. Before the first
 * batch: a collection made within a transaction would lack its indexes.
 */
export const prepareMongoReadModel = async (
  client: MongoClient,
  database: string = READ_DATABASE,
): Promise<void> => {
  const db = databaseOf(client, database);
  const collections = collectionsOf(db);
  for (const key of Object.keys(indexes) as (keyof Collections)[]) {
    await makeCollection(db, collections[key].collectionName, indexes[key]);
  }
};

/** Nothing happens where it is there already. */
export const makeCollection = async (
  db: Db,
  name: string,
  wanted: readonly IndexDescription[],
): Promise<void> => {
  await db.createCollection(name).catch((error: { code?: unknown }) => {
    if (error.code !== NAMESPACE_EXISTS) throw error;
  });
  if (wanted.length > 0) await db.collection(name).createIndexes([...wanted]);
};
