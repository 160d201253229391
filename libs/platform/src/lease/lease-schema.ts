/** Lease tables in a schema of their own, for processes whose lease is not part of another row (a writer's is: ADR 2). */

import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import type pg from 'pg';
import type { Logger } from '../log.ts';
import { migrate } from '../postgres/migrate.ts';
import { type LeaseNames, leaseTickSql } from './lease-sql.ts';

/** `schema`: a lower-case SQL name; it stands in statements as it is. */
export const leaseNamesIn = (schema: string): LeaseNames => ({
  table: `${schema}.lease`,
  instances: `${schema}.instance`,
  tick: `${schema}.lease_tick`,
});

/** By name, in order. A name, once released, never changes. */
const migrationsOf = (names: LeaseNames): Record<string, Migration> => ({
  '0001-lease': {
    up: async (db: Kysely<unknown>) => {
      await sql
        .raw(
          `
CREATE TABLE ${names.table} (
  p           smallint PRIMARY KEY,
  owner       text,
  owner_epoch bigint NOT NULL DEFAULT 0,
  lease_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 20);

CREATE TABLE ${names.instances} (
  id         text PRIMARY KEY,
  seen_until timestamptz NOT NULL
);
`,
        )
        .execute(db);
      await sql.raw(leaseTickSql(names)).execute(db);
    },
  },
});

export type PrepareLeasesDeps = {
  readonly url: string;
  readonly pool: Pick<pg.Pool, 'query'>;
  readonly schema: string;
  readonly partitionCount: number;
  readonly log: Logger;
};

/**
 * Makes the tables, and the rows of the partitions that have none (more than before adds them, fewer changes nothing).
 * Throws database trouble; may be called again, and by many at once.
 */
export const prepareLeases = async (deps: PrepareLeasesDeps): Promise<void> => {
  const { url, pool, schema, partitionCount, log } = deps;
  const names = leaseNamesIn(schema);
  await migrate({ url, migrations: migrationsOf(names), schema, log });
  await pool.query(
    `INSERT INTO ${names.table} (p) SELECT generate_series(0, $1::integer - 1) ON CONFLICT DO NOTHING`,
    [partitionCount],
  );
};
