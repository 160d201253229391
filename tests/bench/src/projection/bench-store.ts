/**
 * The read store as the bench sees it, past every app: how far each partition is projected, and bulk writes of the same
 * documents with nothing around them (the shape and the indexes of the read model, its durability, its batch size; no guard by
 * `seq`, no checkpoint, no heads).
 */

import type { MessageRow } from '@chat/read-model/fold';
import { createMongoClient } from '@chat/read-model/mongo/client';
import {
  READ_DATABASE,
  collectionsOf,
  databaseOf,
  prepareMongoReadModel,
} from '@chat/read-model/mongo/collections';
import { channelKey, messageKey } from '@chat/read-model/mongo/keys';
import { plainArray, textArray, tokenArray } from '@chat/read-model/postgres/array-literal';
import { READ_SCHEMA } from '@chat/read-model/postgres/schema';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import pg from 'pg';

export type BenchStore = {
  /** Last projected sequence, by partition; partitions of which nothing is projected are missing. */
  positions(): Promise<ReadonlyMap<number, number>>;
  /** An empty place for raw writes. */
  clear(): Promise<void>;
  /** One bulk write. */
  write(rows: readonly MessageRow[]): Promise<void>;
  close(): Promise<void>;
};

const MAX_COUNT = 6;
const TIMEOUT_MS = 30_000;
const RAW = 'bench_raw';

const createRaw = `
DROP TABLE IF EXISTS ${RAW};
CREATE TABLE ${RAW} (
  team_id text NOT NULL, channel_id uuid NOT NULL, channel_seq bigint NOT NULL, counted_seq bigint NOT NULL,
  seq bigint NOT NULL, message_id uuid NOT NULL, actor text NOT NULL, at bigint NOT NULL, text text NOT NULL,
  PRIMARY KEY (team_id, channel_id, channel_seq)
);
CREATE INDEX ON ${RAW} (team_id, channel_id, actor, channel_seq);`;

const insertRaw = `INSERT INTO ${RAW} SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[],
  $5::bigint[], $6::uuid[], $7::text[], $8::bigint[], $9::text[])`;

const openPostgres = (stack: ChatStack): BenchStore => {
  // As the projector's: a batch does not wait for the disk.
  const options = '-c synchronous_commit=off';
  const pool = new pg.Pool({ connectionString: stack.databaseUrl, max: MAX_COUNT, options });
  return {
    positions: async () => {
      const { rows } = await pool.query<{ p: number; seq: number }>(
        `SELECT p, seq::float8 FROM ${READ_SCHEMA}.checkpoint`,
      );
      return new Map(rows.map(({ p, seq }) => [p, seq]));
    },
    clear: async () => void (await pool.query(createRaw)),
    write: async (rows) => {
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
    close: () => pool.end(),
  };
};

const openMongo = (url: string): BenchStore => {
  const client = createMongoClient({ url, maxCount: MAX_COUNT, name: 'chat-bench', timeoutMs: TIMEOUT_MS });
  const { checkpoint } = collectionsOf(databaseOf(client, READ_DATABASE));
  const raw = databaseOf(client, RAW);
  const { message } = collectionsOf(raw);
  return {
    positions: async () => new Map((await checkpoint.find().toArray()).map(({ _id, seq }) => [_id, seq])),
    clear: async () => {
      await raw.dropDatabase();
      await prepareMongoReadModel(client, RAW);
    },
    write: async (rows) => {
      const documents = rows.map(({ teamId, channelId, ...row }) => {
        const key = { teamId, channelId };
        return { _id: messageKey(key, row.channelSeq), channelKey: channelKey(key), ...row };
      });
      await message.insertMany(documents, { ordered: false });
    },
    close: () => client.close(),
  };
};

export const openBenchStore = (stack: ChatStack): BenchStore =>
  stack.mongo === undefined ? openPostgres(stack) : openMongo(stack.mongo.url);
