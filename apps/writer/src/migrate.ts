/**
 * Applies the write side's migrations and makes the rows of `PARTITIONS` partitions (more than before adds them,
 * fewer changes nothing). Run before the first writer and before every release: `node apps/writer/src/migrate.ts`.
 */

import pg from 'pg';
import { commonOptions, exitOnConfigError, readConfig } from '@chat/platform/config';
import { createLogger } from '@chat/platform/log';
import { migrate } from '@chat/platform/postgres/migrate';
import { writerOptions } from './config.ts';
import { migrations } from './migrations/migrations.ts';

const { LOG_LEVEL, INSTANCE_ID, PARTITIONS } = commonOptions;
const config = exitOnConfigError(() =>
  readConfig({ LOG_LEVEL, INSTANCE_ID, PARTITIONS, DATABASE_URL: writerOptions.DATABASE_URL }, process.env),
);
const log = createLogger({ app: 'writer-migrate', instance: config.INSTANCE_ID, level: config.LOG_LEVEL });

const ensurePartitions = async (): Promise<void> => {
  const client = new pg.Client({ connectionString: config.DATABASE_URL, application_name: 'writer-migrate' });
  await client.connect();
  try {
    const { rows } = await client.query<{ total: number }>('SELECT ensure_partitions($1) AS total', [
      config.PARTITIONS,
    ]);
    log.info({ partitions: rows[0]?.total }, 'partitions ready');
  } finally {
    await client.end();
  }
};

await migrate({ url: config.DATABASE_URL, migrations, log });
await ensurePartitions();
