/** The read store that READ_STORE names. */

import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import { READ_TIMEOUT_MS, createPool } from '@chat/platform/postgres/pool';
import { openMongoStore } from '@chat/read-model/mongo/store';
import type { ReadModel } from '@chat/read-model/port';
import { createPostgresReadModel } from '@chat/read-model/postgres/postgres-read-model';
import type { ApiConfig } from './config.ts';

export type ReadStore = { readonly readModel: ReadModel; close(): Promise<void> };

/** The config names the url of the store it chose. Connects with the first question. */
export const openReadStore = (config: ApiConfig, log: Logger, metrics?: Metrics): ReadStore => {
  const name = 'chat-api';
  const max = config.READ_POOL_MAX_COUNT;
  if (config.READ_STORE === 'mongodb') {
    return openMongoStore({
      url: config.MONGODB_URL ?? '',
      maxCount: max,
      name,
      timeoutMs: READ_TIMEOUT_MS,
    });
  }
  const url = config.READ_DATABASE_URL ?? '';
  const pool = createPool({ url, max, name, statementTimeoutMs: READ_TIMEOUT_MS, log, metrics });
  return { readModel: createPostgresReadModel({ pool }), close: () => pool.end() };
};
