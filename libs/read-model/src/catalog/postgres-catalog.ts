/** The catalogue in PostgreSQL: one row a view, in a schema of its own beside the versions. */

import type { Migration } from 'kysely/migration';
import { sql } from 'kysely';
import type pg from 'pg';
import { codeOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { migrate } from '@chat/platform/postgres/migrate';
import { type CatalogStore, type ViewEntry, type ViewName, type ViewVersion, catalogOf } from './catalog.ts';

const SCHEMA = 'chat_views';
const UNDEFINED_TABLE = '42P01';
const UNIQUE_VIOLATION = '23505';

const migrations: Record<string, Migration> = {
  '0001-views': {
    up: async (db) => {
      await sql
        .raw(
          `CREATE TABLE ${SCHEMA}.view (
             view         text PRIMARY KEY,
             revision     bigint NOT NULL,
             last_version integer NOT NULL,
             versions     jsonb NOT NULL
           )`,
        )
        .execute(db);
    },
  },
};

type Row = {
  view: ViewName | null;
  revision: number;
  last_version: number;
  versions: ViewVersion[];
  now_ms: number;
};

export type PostgresCatalogDeps = { readonly pool: pg.Pool; readonly url: string; readonly log: Logger };

export const createPostgresCatalog = ({ pool, url, log }: PostgresCatalogDeps): CatalogStore => ({
  prepare: async () => {
    await migrate({ url, migrations, schema: SCHEMA, log });
  },
  read: async () => {
    try {
      const { rows } = await pool.query<Row>(
        `SELECT v.view, v.revision::float8, v.last_version, v.versions,
           (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms
         FROM (SELECT 1) AS one LEFT JOIN ${SCHEMA}.view v ON true`,
      );
      const found = rows.flatMap(({ view, revision, last_version: lastVersion, versions }): ViewEntry[] =>
        view === null ? [] : [{ view, revision, lastVersion, versions }],
      );
      return catalogOf(Math.floor(rows[0]?.now_ms ?? 0), found);
    } catch (error) {
      if (codeOf(error) === UNDEFINED_TABLE) return catalogOf(0, []);
      throw error;
    }
  },
  swap: async ({ view, revision, lastVersion, versions }) => {
    const values = [view, revision, lastVersion, JSON.stringify(versions)];
    if (revision > 1) {
      const { rowCount } = await pool.query(
        `UPDATE ${SCHEMA}.view SET revision = $2, last_version = $3, versions = $4
         WHERE view = $1 AND revision = $2 - 1`,
        values,
      );
      return rowCount === 1;
    }
    try {
      await pool.query(
        `INSERT INTO ${SCHEMA}.view (view, revision, last_version, versions) VALUES ($1, $2, $3, $4)`,
        values,
      );
      return true;
    } catch (error) {
      if (codeOf(error) === UNIQUE_VIOLATION) return false;
      throw error;
    }
  },
});
