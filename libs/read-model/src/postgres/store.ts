/** The read store in PostgreSQL with the pool it owns: each version of a view is a schema. */

import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import { migrate } from '@chat/platform/postgres/migrate';
import { createPool } from '@chat/platform/postgres/pool';
import { viewNames } from '../catalog/catalog.ts';
import { createPostgresCatalog } from '../catalog/postgres-catalog.ts';
import { type ViewStore, versionNames } from '../catalog/view-store.ts';
import { createPostgresDriftStore } from '../drift/postgres.ts';
import { readModelMigrations } from './migrations.ts';
import { createPostgresReadModel } from './postgres-read-model.ts';
import { createPostgresSearchModel } from '../search/postgres/postgres-search.ts';
import { searchMigrations } from '../search/postgres/search-schema.ts';
import { READ_SCHEMA } from './schema.ts';

export type PostgresStoreOptions = {
  readonly url: string;
  readonly maxCount: number;
  readonly name: string;
  readonly timeoutMs: number;
  readonly metrics?: Metrics | undefined;
  readonly log: Logger;
};

export type PostgresStore = ViewStore & { close(): Promise<void> };

const { nameOf, parse } = versionNames(READ_SCHEMA);

export const openPostgresStore = (options: PostgresStoreOptions): PostgresStore => {
  const { url, maxCount: max, name, timeoutMs: statementTimeoutMs, metrics, log } = options;
  const pool = createPool({ url, max, name, statementTimeoutMs, metrics, log });
  return {
    views: viewNames,
    catalog: createPostgresCatalog({ pool, url, log }),
    open: (id) => {
      if (id.view === 'search') {
        const search = createPostgresSearchModel({ pool, schema: nameOf(id) });
        return { target: search, search };
      }
      const core = createPostgresReadModel({ pool, schema: nameOf(id) });
      return { target: core, core };
    },
    openDrift: (id) => createPostgresDriftStore(pool, nameOf(id)),
    prepareVersion: async (id) => {
      const schema = nameOf(id);
      const migrations = id.view === 'search' ? searchMigrations(schema) : readModelMigrations(schema);
      await migrate({ url, migrations, schema, log });
    },
    // Tables that were never analyzed are planned for as if they were almost empty.
    analyzeVersion: async (id) => {
      const { rows } = await pool.query<{ name: string }>(
        `SELECT relname AS name FROM pg_stat_user_tables WHERE schemaname = $1`,
        [nameOf(id)],
      );
      for (const { name: table } of rows) await pool.query(`ANALYZE ${nameOf(id)}.${table}`);
    },
    dropVersion: async (id) => {
      await pool.query(`DROP SCHEMA IF EXISTS ${nameOf(id)} CASCADE`);
    },
    listVersions: async () => {
      const { rows } = await pool.query<{ name: string }>(`SELECT nspname AS name FROM pg_namespace`);
      return rows.flatMap(({ name: schema }) => parse(schema) ?? []);
    },
    close: () => pool.end(),
  };
};
