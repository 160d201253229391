/** The read store that READ_STORE names. */

import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import { migrate } from '@chat/platform/postgres/migrate';
import { WRITE_TIMEOUT_MS, createPool } from '@chat/platform/postgres/pool';
import { openMongoStore } from '@chat/read-model/mongo/store';
import type { ReadModel } from '@chat/read-model/port';
import { readModelMigrations } from '@chat/read-model/postgres/migrations';
import { createPostgresReadModel } from '@chat/read-model/postgres/postgres-read-model';
import { READ_SCHEMA } from '@chat/read-model/postgres/schema';
import type { ProjectorConfig } from './config.ts';

const READ_POOL_MAX_COUNT = 16;

export type ReadStore = {
  readonly readModel: ReadModel;
  /** Tables, collections and indexes that are missing. Throws on trouble of the store; may be run again. */
  prepare(): Promise<void>;
  close(): Promise<void>;
};

export const openReadStore = (config: ProjectorConfig, log: Logger, metrics?: Metrics): ReadStore => {
  const name = 'chat-projector';
  const max = Math.min(READ_POOL_MAX_COUNT, config.PARTITIONS + 4);
  if (config.READ_STORE === 'mongodb') {
    return openMongoStore({
      url: config.MONGODB_URL ?? '',
      maxCount: max,
      name,
      timeoutMs: WRITE_TIMEOUT_MS,
    });
  }
  const url = config.READ_DATABASE_URL ?? config.DATABASE_URL;
  const pool = createPool({ url, max, name, statementTimeoutMs: WRITE_TIMEOUT_MS, log, metrics });
  return {
    readModel: createPostgresReadModel({ pool }),
    prepare: async () => {
      await migrate({ url, migrations: readModelMigrations(), schema: READ_SCHEMA, log });
    },
    close: () => pool.end(),
  };
};
