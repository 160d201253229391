import { Kysely, PostgresDialect, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import pg from 'pg';
import { Fault, IncompatibleFault, reasonOf } from '../faults.ts';
import type { Logger } from '../log.ts';

export const POSTGRES_MIN_MAJOR = 15;

export type MigrateOptions = {
  readonly url: string;
  /** By name; they run in the order of their names (`0001-write-model`, …). */
  readonly migrations: Readonly<Record<string, Migration>>;
  /** Holds the migration tables (and is created); `public` without it. Two schemas migrate independently. */
  readonly schema?: string;
  readonly log: Logger;
};

/**
 * Brings the database to the newest migration and answers the names that were applied. Each runs in one transaction with
 * the others, under an advisory lock: of two processes at once one waits for the other and then finds nothing to do.
 * Throws IncompatibleFault POSTGRES_TOO_OLD below version 15, Fault MIGRATION_FAILED naming the migration.
 */
export const migrate = async (options: MigrateOptions): Promise<readonly string[]> => {
  const { url, migrations, schema, log } = options;
  const pool = new pg.Pool({
    connectionString: url,
    max: 2,
    application_name: 'chat-migrate',
    connectionTimeoutMillis: 10_000,
  });
  pool.on('error', (error) => log.warn({ reason: reasonOf(error) }, 'migration connection lost'));
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    await requireVersion(db);
    return await withLock(pool, schema ?? 'public', () => migrateLocked(db, migrations, schema, log));
  } finally {
    await db.destroy();
  }
};

const requireVersion = async (db: Kysely<unknown>): Promise<void> => {
  const { rows } = await sql<{ version: string; num: number }>`
    select current_setting('server_version') as version, current_setting('server_version_num')::int as num
  `.execute(db);
  const found = rows[0];
  if (found !== undefined && found.num >= POSTGRES_MIN_MAJOR * 10_000) return;
  throw new IncompatibleFault(
    'POSTGRES_TOO_OLD',
    `PostgreSQL ${POSTGRES_MIN_MAJOR} or newer is needed, found ${found?.version ?? 'an unknown version'}`,
  );
};

/**
 * Kysely itself locks too, but it creates its tables *before* it takes that lock: two at once on an empty database
 * collide there. So an advisory lock, of one session, stands around the whole.
 */
const withLock = async <T>(pool: pg.Pool, name: string, run: () => Promise<T>): Promise<T> => {
  const client = await pool.connect();
  client.on('error', () => undefined);
  try {
    await client.query('select pg_advisory_lock(hashtext($1), hashtext($2))', ['chat-migrate', name]);
    return await run();
  } finally {
    // Ending the session frees the lock, also when the connection is already broken.
    client.release(true);
  }
};

/**
 * What is written down as applied, as steps that do nothing. Those that this release does not know are a newer one's: while one
 * rolls out, and after it was rolled back, this one must begin all the same. (Kysely itself would call it corrupted.)
 */
const ofNewerRelease = async (
  db: Kysely<unknown>,
  schema: string | undefined,
): Promise<Record<string, Migration>> => {
  const table = schema === undefined ? 'kysely_migration' : `${schema}.kysely_migration`;
  const { rows: found } = await sql<{ exists: boolean }>`
    select to_regclass(${table}) is not null as exists
  `.execute(db);
  if (found[0]?.exists !== true) return {};
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(table)}`.execute(db);
  return Object.fromEntries(rows.map(({ name }) => [name, { up: async () => {} }]));
};

const migrateLocked = async (
  db: Kysely<unknown>,
  migrations: Readonly<Record<string, Migration>>,
  schema: string | undefined,
  log: Logger,
): Promise<readonly string[]> => {
  // Read before: the migrator holds the pool's other connection while it asks for them.
  const known = { ...(await ofNewerRelease(db, schema)), ...migrations };
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(known) },
    ...(schema === undefined ? {} : { migrationTableSchema: schema }),
  });
  const { error, results = [] } = await migrator.migrateToLatest();
  for (const { migrationName, status } of results) {
    if (status === 'Success') log.info({ migration: migrationName, schema }, 'migration applied');
  }
  if (error !== undefined) {
    const failed =
      results.find((result) => result.status === 'Error')?.migrationName ?? 'before the first one';
    throw new Fault('MIGRATION_FAILED', `migration ${failed} failed: ${reasonOf(error)}`, error);
  }
  return results.filter((result) => result.status === 'Success').map((result) => result.migrationName);
};
