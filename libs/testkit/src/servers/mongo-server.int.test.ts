import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startMongo } from './mongo-server.ts';
import { startMongoSet } from './mongo-set.ts';
import { freePort } from './ports.ts';

let dataDir = '';
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'chat-test-mongo-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

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

it('data that was made under another port goes on under a new one', async () => {
  const first = await startMongo({ dataDir });
  await using before = new MongoClient(first.url, { serverSelectionTimeoutMS: 10_000 });
  const majority = { writeConcern: { w: 'majority', j: true } } as const;
  await before.db('t').collection<{ _id: number }>('items').insertOne({ _id: 1 }, majority);
  await first.stop();
  let port = await freePort();
  while (port === first.port) port = await freePort();
  await using second = await startMongo({ dataDir, port });
  await using after = new MongoClient(second.url, { serverSelectionTimeoutMS: 10_000 });
  const items = after.db('t').collection<{ _id: number }>('items');
  await items.insertOne({ _id: 2 }, majority);
  expect(await items.countDocuments()).toBe(2);
});

it('a set of three elects another primary when its primary is killed, and when it steps down', async () => {
  await using set = await startMongoSet(3, { dataDir });
  const first = await set.primary();
  await first!.server.kill();
  await using client = new MongoClient(set.url, { serverSelectionTimeoutMS: 20_000 });
  const items = client.db('t').collection('items');
  const majority = { writeConcern: { w: 'majority', j: true } } as const;
  await items.insertOne({ a: 1 }, majority);
  const second = await set.primary();
  expect(second!.name).not.toBe(first!.name);
  await first!.server.start();
  await set.stepDown(second!, 30);
  await items.insertOne({ a: 2 }, majority);
  const third = await set.primary();
  expect(third!.name).not.toBe(second!.name);
  expect(await items.countDocuments()).toBe(2);
}, 60_000);
