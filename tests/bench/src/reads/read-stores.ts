/** A read store with a server of its own, for benches of reads. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@chat/platform/log';
import { createMetrics } from '@chat/platform/metrics';
import { createMongoClient } from '@chat/read-model/mongo/client';
import { type ReadStore, openReadStore } from '@chat/read-model/open-read-store';
import type { ReadModel } from '@chat/read-model/port';
import type { SearchModel } from '@chat/read-model/search/port';
import { startMongo } from '@chat/testkit/servers/mongo-server';
import { startPostgres } from '@chat/testkit/servers/postgres-server';
import pg from 'pg';
import { teamId } from './read-corpus.ts';

export type ReadStoreName = 'postgres' | 'mongodb';

export type ReadBenchStore = {
  readonly core: ReadModel;
  readonly search: SearchModel;
  /** Messages with their texts by the primary key, straight by the driver: as fast as this server answers. */
  readByKey(fromOrdinal: number, count: number): Promise<number>;
  /** What a server would have done by itself some time after a load. */
  settle(): Promise<void>;
};

const TIMEOUT_MS = 60_000;
const CONNECTIONS_COUNT = 4;
const searchVersion = { view: 'search', version: 1 } as const;
const SEARCH_NAME = 'chat_search_v1';

export const withReadStore = async <T>(
  kind: ReadStoreName,
  use: (store: ReadBenchStore) => Promise<T>,
): Promise<T> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'chat-bench-reads-'));
  try {
    return await (kind === 'postgres' ? onPostgres(dataDir, use) : onMongo(dataDir, use));
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
};

const withOpened = async <T>(
  kind: ReadStoreName,
  url: string,
  use: (models: { readonly core: ReadModel; readonly search: SearchModel }) => Promise<T>,
): Promise<T> => {
  const store: ReadStore = openReadStore({
    kind,
    url,
    maxCount: CONNECTIONS_COUNT,
    name: 'chat-bench',
    timeoutMs: TIMEOUT_MS,
    metrics: createMetrics(),
    log: createLogger({ app: 'bench', instance: 'reads', level: 'silent' }),
  });
  try {
    const coreVersion = { view: 'core', version: 1 } as const;
    await store.prepareVersion(coreVersion);
    await store.prepareVersion(searchVersion);
    const { core } = store.open(coreVersion);
    const { search } = store.open(searchVersion);
    if (!core || !search) throw new Error('a view has no port');
    return await use({ core, search });
  } finally {
    await store.close();
  }
};

const onPostgres = async <T>(dataDir: string, use: (store: ReadBenchStore) => Promise<T>): Promise<T> => {
  const server = await startPostgres({ dataDir });
  const client = new pg.Client({ connectionString: server.url });
  try {
    await client.connect();
    return await withOpened('postgres', server.url, (models) =>
      use({
        ...models,
        readByKey: async (from, count) => {
          const { rowCount } = await client.query({
            name: 'by-key',
            text: `SELECT ordinal, seq, channel_id, channel_seq, message_id, actor, at, text FROM ${SEARCH_NAME}.message
                   WHERE team_id = $1 AND ordinal >= $2 ORDER BY ordinal LIMIT $3`,
            values: [teamId, from, count],
          });
          return rowCount ?? 0;
        },
        settle: async () => {
          await client.query('VACUUM ANALYZE');
          await client.query('CHECKPOINT');
        },
      }),
    );
  } finally {
    await client.end();
    await server.stop();
  }
};

const onMongo = async <T>(dataDir: string, use: (store: ReadBenchStore) => Promise<T>): Promise<T> => {
  const server = await startMongo({ dataDir });
  const client = createMongoClient({
    url: server.url,
    maxCount: 1,
    name: 'chat-bench',
    timeoutMs: TIMEOUT_MS,
  });
  try {
    const messages = client.db(SEARCH_NAME).collection<{ _id: string }>('message');
    return await withOpened('mongodb', server.url, (models) =>
      use({
        ...models,
        readByKey: async (from, count) => {
          const _id = { $gte: `${teamId}/${String(from).padStart(16, '0')}` };
          const options = {
            sort: { _id: 1 },
            limit: count,
            batchSize: count,
            projection: { tokens: 0 },
          } as const;
          return (await messages.find({ _id }, options).toArray()).length;
        },
        settle: async () => {
          await client.db('admin').command({ fsync: 1 });
        },
      }),
    );
  } finally {
    await client.close();
    await server.stop();
  }
};
