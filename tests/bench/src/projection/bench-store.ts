/**
 * The read store as the bench sees it, past every app: how far each partition is projected, and bulk writes of the same
 * documents with nothing around them (the shape and the indexes of the view, its durability, its batch size; no guard by
 * `seq`, no checkpoint, no heads, and no text is taken apart: what search writes is made before the clock runs).
 */

import type { TeamId } from '@chat/contracts/ids';
import type { ViewName } from '@chat/read-model/catalog/catalog';
import type { MessageRow } from '@chat/read-model/fold';
import { createMongoClient } from '@chat/read-model/mongo/client';
import {
  READ_DATABASE,
  collectionsOf,
  databaseOf,
  prepareMongoReadModel,
} from '@chat/read-model/mongo/collections';
import { messageDocOf } from '@chat/read-model/mongo/write-changes';
import { plainArray, textArray, tokenArray } from '@chat/read-model/postgres/array-literal';
import { READ_SCHEMA } from '@chat/read-model/postgres/schema';
import { bucketOf, searchTuning } from '@chat/read-model/search/find';
import { searchDocOf, seedOfTeam } from '@chat/read-model/search/mongo/search-apply';
import { prepareMongoSearch, searchCollectionsOf } from '@chat/read-model/search/mongo/search-collections';
import { rowColumns, rowValues, rowsSql } from '@chat/read-model/search/postgres/write-rows';
import type { SearchRow, Tokenised } from '@chat/read-model/search/rows';
import { foldText } from '@chat/read-model/search/text';
import { messageTokens, seedOf } from '@chat/read-model/search/tokens';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import pg from 'pg';

export type SearchDocument = Tokenised<SearchRow>;

export type BenchStore = {
  /** Last projected sequence, by partition; partitions of which nothing is projected are missing. */
  positions(view: ViewName): Promise<ReadonlyMap<number, number>>;
  /** As if search had applied all up to `seq`, so that it has nothing to do. While no projector runs. */
  skipSearch(partition: number, seq: number, digest: string): Promise<void>;
  /** An empty place for raw writes. */
  clear(): Promise<void>;
  /** What search holds of these messages of one team, its first. */
  searchDocuments(rows: readonly MessageRow[]): readonly SearchDocument[];
  /** One bulk write. */
  writeCore(rows: readonly MessageRow[]): Promise<void>;
  writeSearch(rows: readonly SearchDocument[]): Promise<void>;
  close(): Promise<void>;
};

/** A lane of each view in each partition. */
const MAX_COUNT = 8;
const TIMEOUT_MS = 30_000;
const RAW = 'bench_raw';
const RAW_SEARCH = 'bench_raw_search';
const SEARCH = 'chat_search_v1';

const documentsOf = (
  rows: readonly MessageRow[],
  seedAt: (teamId: TeamId, ordinal: number) => number,
): readonly SearchDocument[] =>
  rows.map(({ countedSeq: _, ...message }, at) => {
    const row = { ...message, ordinal: at + 1, folded: foldText(message.text) };
    return { ...row, tokens: messageTokens(seedAt(row.teamId, row.ordinal), row) };
  });

const createRaw = `
DROP TABLE IF EXISTS ${RAW}, ${RAW_SEARCH};
CREATE TABLE ${RAW} (LIKE ${READ_SCHEMA}.message INCLUDING ALL);
CREATE TABLE ${RAW_SEARCH} (LIKE ${SEARCH}.message INCLUDING ALL);`;

const insertRaw = `INSERT INTO ${RAW}
  (team_id, channel_id, channel_seq, counted_seq, seq, message_id, actor, at, text)
  SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[],
  $5::bigint[], $6::uuid[], $7::text[], $8::bigint[], $9::text[])`;
const insertRawSearch = `INSERT INTO ${RAW_SEARCH} (${rowColumns}) ${rowsSql(1)}`;

const openPostgres = (stack: ChatStack): BenchStore => {
  // As the projector's: a batch does not wait for the disk.
  const options = '-c synchronous_commit=off';
  const pool = new pg.Pool({ connectionString: stack.databaseUrl, max: MAX_COUNT, options });
  return {
    positions: async (view) => {
      const schema = view === 'core' ? READ_SCHEMA : SEARCH;
      const { rows } = await pool.query<{ p: number; seq: number }>(
        `SELECT p, seq::float8 FROM ${schema}.checkpoint`,
      );
      return new Map(rows.map(({ p, seq }) => [p, seq]));
    },
    skipSearch: async (partition, seq, digest) => {
      const update = `UPDATE ${SEARCH}.checkpoint SET seq = $2, digest = $3 WHERE p = $1`;
      await pool.query(update, [partition, seq, digest]);
    },
    clear: async () => void (await pool.query(createRaw)),
    searchDocuments: (rows) =>
      documentsOf(rows, (teamId, ordinal) => seedOf(teamId, bucketOf(ordinal, searchTuning))),
    writeCore: async (rows) => {
      const values = [
        tokenArray(rows.map((row) => row.teamId)),
        plainArray(rows.map((row) => row.channelId)),
        plainArray(rows.map((row) => row.channelSeq)),
        plainArray(rows.map((row) => row.countedSeq)),
        plainArray(rows.map((row) => row.seq)),
        plainArray(rows.map((row) => row.id)),
        tokenArray(rows.map((row) => row.actor)),
        plainArray(rows.map((row) => row.at)),
        textArray(rows.map((row) => row.text)),
      ];
      await pool.query({ name: RAW, text: insertRaw, values });
    },
    writeSearch: async (rows) => {
      await pool.query({ name: RAW_SEARCH, text: insertRawSearch, values: [...rowValues(rows)] });
    },
    close: () => pool.end(),
  };
};

const openMongo = (url: string): BenchStore => {
  const client = createMongoClient({ url, maxCount: MAX_COUNT, name: 'chat-bench', timeoutMs: TIMEOUT_MS });
  const core = collectionsOf(databaseOf(client, READ_DATABASE)).checkpoint;
  const search = searchCollectionsOf(databaseOf(client, SEARCH)).checkpoint;
  const raw = databaseOf(client, RAW);
  const rawSearch = databaseOf(client, RAW_SEARCH);
  return {
    positions: async (view) => {
      const found = await (view === 'core' ? core : search).find().toArray();
      return new Map(found.map(({ _id, seq }) => [_id, seq]));
    },
    skipSearch: async (partition, seq, digest) => {
      await search.updateOne({ _id: partition }, { $set: { seq, digest } });
    },
    clear: async () => {
      await raw.dropDatabase();
      await rawSearch.dropDatabase();
      await prepareMongoReadModel(client, RAW);
      await prepareMongoSearch(client, RAW_SEARCH);
    },
    searchDocuments: (rows) => documentsOf(rows, seedOfTeam),
    writeCore: async (rows) => {
      await collectionsOf(raw).message.insertMany(rows.map(messageDocOf), { ordered: false });
    },
    writeSearch: async (rows) => {
      await searchCollectionsOf(rawSearch).message.insertMany(rows.map(searchDocOf), { ordered: false });
    },
    close: () => client.close(),
  };
};

export const openBenchStore = (stack: ChatStack): BenchStore =>
  stack.mongo === undefined ? openPostgres(stack) : openMongo(stack.mongo.url);
