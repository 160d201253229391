import { Kysely, PostgresDialect } from 'kysely';
import type pg from 'pg';

/** Kysely over a pool that somebody else owns; `destroy()` of it ends that pool. */
export const createKysely = <DB>(pool: pg.Pool): Kysely<DB> =>
  new Kysely<DB>({ dialect: new PostgresDialect({ pool }) });
