import { Fault } from '@chat/platform/faults';
import { createPool, poolState } from '@chat/platform/postgres/pool';
import { createKysely } from '@chat/platform/postgres/kysely';
import { migrate } from '@chat/platform/postgres/migrate';
import { classify } from '@chat/platform/postgres/sqlstate';
import { type PostgresServer, startPostgres } from '@chat/testkit/servers/postgres-server';
import { testDatabase } from '@chat/testkit/servers/servers';
import { type Kysely, sql } from 'kysely';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { testLog, until } from './nats-client.ts';

const log = testLog();
const pools: pg.Pool[] = [];
const newPool = (
  url: string,
  more: { max?: number; statementTimeoutMs?: number; connectionTimeoutMs?: number } = {},
): pg.Pool => {
  const pool = createPool({ url, max: 2, name: 'chat-test', statementTimeoutMs: 5_000, log, ...more });
  pools.push(pool);
  return pool;
};
const endPools = async (): Promise<void> => {
  await Promise.all(pools.splice(0).map((pool) => pool.end()));
};
afterEach(endPools);
const kindOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'worked',
    (error: unknown) => classify(error),
  );

describe('a pool', () => {
  it('is seen by operators under its name', async () => {
    const pool = newPool(await testDatabase());
    const { rows } = await pool.query('select current_setting($1) as name', ['application_name']);
    expect(rows).toEqual([{ name: 'chat-test' }]);
    await endPools();
  });

  it('gives up a statement past its timeout, and calls that transient', async () => {
    const pool = newPool(await testDatabase(), { statementTimeoutMs: 100 });
    expect(await kindOf(pool.query('select pg_sleep(5)'))).toBe('transient');
    expect(await kindOf(pool.query('select 1'))).toBe('worked');
    await endPools();
  });

  it('lets a caller wait for a connection only so long', async () => {
    const pool = newPool(await testDatabase(), { max: 1, connectionTimeoutMs: 100 });
    const client = await pool.connect();
    const waiting = pool.connect();
    expect(poolState(pool)).toEqual({ totalCount: 1, idleCount: 0, waitingCount: 1 });
    expect(await kindOf(waiting)).toBe('transient');
    client.release();
    expect(await kindOf(pool.query('select 1'))).toBe('worked');
    await endPools();
  });

  it('takes no more connections than an instance may have', async () => {
    const url = await testDatabase();
    expect(() => newPool(url, { max: 51 })).toThrow(RangeError);
    expect(() => newPool(url, { max: 0 })).toThrow(RangeError);
  });

  it('survives that its connections are killed, idle and in use', async () => {
    const url = await testDatabase();
    const pool = newPool(url);
    const killer = newPool(url, { max: 1 });
    const kill = () =>
      killer.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
    await pool.query('select 1');
    await kill();
    await until(() => poolState(pool).totalCount === 0, 'the idle connection is dropped');
    const sleeping = kindOf(pool.query('select pg_sleep(30)'));
    await until(async () => {
      const { rows } = await killer.query(
        `select 1 from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid()`,
      );
      return rows.length > 0;
    }, 'it sleeps');
    await kill();
    expect(await sleeping).toBe('transient');
    expect(await kindOf(pool.query('select 1'))).toBe('worked');
    await endPools();
  });

  it('tells the data, our fencing and our bugs from the trouble of the database', async () => {
    const pool = newPool(await testDatabase());
    await pool.query('create table t (id int primary key check (id > 0))');
    await pool.query('insert into t values (1)');
    expect(await kindOf(pool.query('insert into t values (1)'))).toBe('data');
    expect(await kindOf(pool.query('insert into t values (0)'))).toBe('data');
    expect(await kindOf(pool.query('select $1::text', ['a\u0000b']))).toBe('data');
    expect(await kindOf(pool.query('select nothing'))).toBe('bug');
    expect(
      await kindOf(pool.query(`do $$ begin raise exception 'fenced' using errcode = 'CH001'; end $$`)),
    ).toBe('fenced');
    await endPools();
  });
});

describe('a pool and a server that is paused or gone', () => {
  let server: PostgresServer;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'chat-platform-pg-'));
    await chmod(folder, 0o755);
    server = await startPostgres({ dataDir: join(folder, 'data'), fsync: false });
  });
  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('does not wait longer for a paused server than for a slow statement, and works when it wakes', async () => {
    const pool = newPool(server.url, { statementTimeoutMs: 200, connectionTimeoutMs: 500 });
    await pool.query('select 1');
    server.pause();
    const startMs = performance.now();
    try {
      // The first goes out on a living connection, the second needs a new one.
      expect(await Promise.all([kindOf(pool.query('select 1')), kindOf(pool.query('select 1'))])).toEqual([
        'transient',
        'transient',
      ]);
      expect(performance.now() - startMs).toBeLessThan(3_000);
    } finally {
      server.resume();
    }
    await until(async () => (await kindOf(pool.query('select 1'))) === 'worked', 'works again');
  });

  it('works again after kill -9 and restart of the server', async () => {
    const pool = newPool(server.url);
    await pool.query('select 1');
    await server.kill();
    expect(await kindOf(pool.query('select 1'))).toBe('transient');
    await server.start();
    await until(async () => (await kindOf(pool.query('select 1'))) === 'worked', 'works again');
  });
});

describe('migrate', () => {
  const create = (name: string) => ({
    up: async (db: Kysely<unknown>) => {
      await sql.raw(`create table ${name} (id int)`).execute(db);
    },
  });
  const migrations = { '0001-a': create('a'), '0002-b': create('b') };
  const tablesOf = async (url: string): Promise<string[]> => {
    const pool = newPool(url);
    const tables = await createKysely<{ 'pg_catalog.pg_tables': { schemaname: string; tablename: string } }>(
      pool,
    )
      .selectFrom('pg_catalog.pg_tables')
      .select(['schemaname', 'tablename'])
      .where('schemaname', 'not in', ['pg_catalog', 'information_schema'])
      .execute();
    await endPools();
    return tables.map(({ schemaname, tablename }) => `${schemaname}.${tablename}`).sort();
  };

  it('applies what is missing in the order of the names, once', async () => {
    const url = await testDatabase();
    expect(await migrate({ url, migrations: { '0001-a': migrations['0001-a'] }, log })).toEqual(['0001-a']);
    expect(await migrate({ url, migrations, log })).toEqual(['0002-b']);
    expect(await migrate({ url, migrations, log })).toEqual([]);
    expect(await tablesOf(url)).toEqual([
      'public.a',
      'public.b',
      'public.kysely_migration',
      'public.kysely_migration_lock',
    ]);
  });

  it('is safe when several processes start at once on an empty database', async () => {
    const url = await testDatabase();
    const applied = await Promise.all(
      [1, 2, 3, 4].map(() => migrate({ url, migrations, schema: 'read', log })),
    );
    expect(applied.flat().sort()).toEqual(['0001-a', '0002-b']);
  });

  it('keeps the migrations of two schemas apart', async () => {
    const url = await testDatabase();
    await migrate({ url, migrations: { '0001-a': create('a') }, log });
    const read = {
      '0001-read': {
        up: async (db: Kysely<unknown>) => void (await sql`create table read.a (id int)`.execute(db)),
      },
    };
    expect(await migrate({ url, migrations: read, schema: 'read', log })).toEqual(['0001-read']);
    expect(await tablesOf(url)).toEqual(expect.arrayContaining(['public.a', 'read.a']));
  });

  it('an older release begins on what a newer one has migrated already, and applies nothing', async () => {
    for (const schema of [undefined, 'read']) {
      const url = await testDatabase();
      const at = schema === undefined ? {} : { schema };
      await migrate({ url, migrations, ...at, log });
      expect(await migrate({ url, migrations: { '0001-a': create('a') }, ...at, log })).toEqual([]);
      expect(
        await migrate({ url, migrations: { ...migrations, '0003-c': create('c') }, ...at, log }),
      ).toEqual(['0003-c']);
    }
  });

  it('names the migration that failed, and leaves the database as it was', async () => {
    const url = await testDatabase();
    const broken = { ...migrations, '0003-bad': create('a') };
    const failing = migrate({ url, migrations: broken, log });
    await expect(failing).rejects.toBeInstanceOf(Fault);
    await expect(failing).rejects.toMatchObject({
      code: 'MIGRATION_FAILED',
      message: expect.stringContaining('0003-bad') as string,
    });
    expect(await tablesOf(url)).not.toContain('public.b');
    expect(await migrate({ url, migrations, log })).toEqual(['0001-a', '0002-b']);
  });
});
