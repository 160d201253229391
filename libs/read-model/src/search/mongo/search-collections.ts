/**
 * Collections and indexes of search: a database whose name is a parameter. The token index holds (token, ordinal): what has a token is
 * found newest first and without a sort, so that no buckets are needed here.
 */

import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import type { Collection, Db, IndexDescription, MongoClient } from 'mongodb';
import { type CheckpointDoc, type HolderDoc, databaseOf, makeCollection } from '../../mongo/collections.ts';

export type SearchTeamDoc = { readonly _id: TeamId; readonly messageCount: number };
export type SearchMessageDoc = {
  /** See `ordinalKey`. */
  readonly _id: string;
  readonly teamId: TeamId;
  readonly ordinal: number;
  readonly seq: number;
  readonly channelId: ChannelId;
  readonly channelSeq: number;
  readonly id: CommandId;
  readonly actor: UserId;
  readonly at: number;
  readonly text: string;
  /** Missing: folds to itself. */
  readonly folded?: string;
  readonly tokens: readonly number[];
};

export type SearchCollections = {
  readonly checkpoint: Collection<CheckpointDoc>;
  readonly holder: Collection<HolderDoc>;
  readonly team: Collection<SearchTeamDoc>;
  readonly message: Collection<SearchMessageDoc>;
};

export const searchCollectionsOf = (db: Db): SearchCollections => ({
  checkpoint: db.collection('checkpoint'),
  holder: db.collection('holder'),
  team: db.collection('team'),
  message: db.collection('message'),
});

/** Number.MAX_SAFE_INTEGER has 16 digits: text order is number order. */
const ORDINAL_DIGITS_COUNT = 16;
export const ordinalKey = (teamId: TeamId, ordinal: number): string =>
  `${teamId}/${String(ordinal).padStart(ORDINAL_DIGITS_COUNT, '0')}`;

export const TOKEN_INDEX = 'tokens';

const indexes: { readonly [K in keyof SearchCollections]: readonly IndexDescription[] } = {
  checkpoint: [],
  holder: [],
  team: [],
  message: [{ name: TOKEN_INDEX, key: { tokens: 1, ordinal: -1 } }],
};

/** Makes what is missing; safe to run again and by several at once. Before the first batch. */
export const prepareMongoSearch = async (client: MongoClient, database: string): Promise<void> => {
  const db = databaseOf(client, database);
  for (const [name, wanted] of Object.entries(indexes)) await makeCollection(db, name, wanted);
};
