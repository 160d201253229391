import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PostgresServer, startPostgres } from './postgres-server.ts';
import { newDatabase, testDatabase } from './servers.ts';

const run = async (url: string, sql: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
};

describe('an embedded PostgreSQL', () => {
  let folder: string;
  let server: PostgresServer;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'chat pg '));
    server = await startPostgres({ dataDir: join(folder, 'data') });
  });
  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('keeps what was committed through kill -9, on the same port', async () => {
    const url = await server.createDatabase('kept');
    await run(url, 'create table t as select 7 as n');
    const { port, pid } = server;
    await server.kill();
    await expect(run(url, 'select 1')).rejects.toThrow();
    await server.start();
    expect(await run(url, 'select n from t')).toEqual([7]);
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
  });

  it('starts although a pid file names a living process of another program', async () => {
    await server.stop();
    await writeFile(join(server.dataDir, 'postmaster.pid'), `${process.pid}\n${server.dataDir}\n`);
    await server.start();
    expect(await run(server.url, 'select 1')).toEqual([1]);
  });

  it('answers nothing while paused, and goes on when resumed', async () => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    server.pause();
    let isAnswered = false;
    const answer = client.query('select 1').then(() => (isAnswered = true));
    // A new connection gets no answer either: the postmaster stands still as well.
    const other = new pg.Client({ connectionString: server.url, connectionTimeoutMillis: 300 });
    await expect(other.connect()).rejects.toThrow();
    expect(isAnswered).toBe(false);
    server.resume();
    await answer;
    await client.end();
  });

  it('refuses a second server on the same data and on a taken port, each with a code', async () => {
    await expect(startPostgres({ dataDir: join(folder, 'data') })).rejects.toMatchObject({
      code: 'DATA_IN_USE',
    });
    await expect(startPostgres({ dataDir: join(folder, 'other'), port: server.port })).rejects.toMatchObject({
      code: 'PORT_TAKEN',
    });
  });

  it('is only had with its password', async () => {
    const url = new URL(server.url);
    url.password = 'wrong';
    await expect(run(url.href, 'select 1')).rejects.toThrow(/password/);
  });
});

describe('a database per test', () => {
  it('is empty and apart from the others', async () => {
    const [one, two] = [await testDatabase(), await testDatabase()];
    await run(one, 'create table t (n int)');
    expect(await run(two, `select count(*)::int from pg_tables where tablename = 't'`)).toEqual([0]);
  });

  it('tells of connections that a test left open', async () => {
    const database = await newDatabase();
    const leaked = new pg.Client({ connectionString: database.url });
    leaked.on('error', () => {});
    await leaked.connect();
    await expect(database.drop()).rejects.toThrow(/left open/);
    await leaked.end().catch(() => {});
  });
});
