import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseMongoMajor } from './mongo-binary.ts';
import { startMongo, startMongoSet } from './mongo-server.ts';

let dataDir = '';
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'chat-test-mongo-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

it('reads the version of a mongod', () => {
  expect(parseMongoMajor('db version v6.0.5\nBuild Info: {')).toBe(6);
  expect(parseMongoMajor('something else')).toBeUndefined();
});

it('what a majority acknowledged survives kill -9, under the same port', async () => {
  await using server = await startMongo({ dataDir });
  await using client = new MongoClient(server.url, { serverSelectionTimeoutMS: 10_000 });
  const items = client.db('t').collection<{ _id: number }>('items');
  await items.insertOne({ _id: 1 }, { writeConcern: { w: 'majority', j: true } });
  const { port, pid } = server;
  await server.kill();
  await server.start();
  expect(server.port).toBe(port);
  expect(server.pid).not.toBe(pid);
  expect(await items.countDocuments()).toBe(1);
});

it('a port that is taken is one clear fault', async () => {
  await using server = await startMongo({ dataDir });
  await expect(startMongo({ dataDir: join(dataDir, 'other'), port: server.port })).rejects.toMatchObject({
    code: 'PORT_TAKEN',
  });
});

it('a set of three elects another primary when its primary is killed', async () => {
  await using set = await startMongoSet(3, { dataDir });
  const first = await set.primary();
  await first!.kill();
  await using client = new MongoClient(set.url, { serverSelectionTimeoutMS: 20_000 });
  await client
    .db('t')
    .collection('items')
    .insertOne({ a: 1 }, { writeConcern: { w: 'majority', j: true } });
  expect((await set.primary())?.port).not.toBe(first!.port);
}, 60_000);
