import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MongoServer, startMongo } from '@chat/testkit/servers/mongo-server';
import { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type MongoStore, openMongoStore } from '../mongo/store.ts';
import { itKeepsACatalog } from '../testing/catalog-contract.ts';
import { itFollowsTheLiveVersion } from '../testing/follow-contract.ts';
import { CATALOG_DATABASE } from './mongo-catalog.ts';

// A server of its own: the names of versions are the store's, and every test begins with an empty one.
let folder: string;
let mongo: MongoServer;
let store: MongoStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat-catalog-mongo-'));
  mongo = await startMongo({ dataDir: folder });
}, 60_000);
afterAll(async () => {
  await mongo.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  store = openMongoStore({ url: mongo.url, maxCount: 4, name: 'test', timeoutMs: 10_000 });
});
afterEach(async () => {
  for (const id of await store.listVersions()) await store.dropVersion(id);
  await store.close();
  const client = await new MongoClient(mongo.url).connect();
  await client.db(CATALOG_DATABASE).dropDatabase();
  await client.close();
});

itKeepsACatalog('MongoDB', () => store);
itFollowsTheLiveVersion('MongoDB', () => ({ kind: 'mongodb', url: mongo.url }));
