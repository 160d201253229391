import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dumpDatabase } from '@chat/read-model/testing/dump-version';
import { type MongoServer, startMongo } from '@chat/testkit/servers/mongo-server';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { type TestDatabase, newDatabase, testNats } from '@chat/testkit/servers/servers';
import { afterAll, beforeAll, it } from 'vitest';
import { type World, createWorld } from '../testing/projector-world.ts';
import { rebuildEnv, rebuildUnderLoad } from '../testing/rebuild-scenario.ts';

let nats: NatsServer;
let folder: string;
let mongo: MongoServer;
let database: TestDatabase;
let world: World;

beforeAll(async () => {
  nats = await testNats();
  folder = await mkdtemp(join(tmpdir(), 'chat-rebuild-mongo-'));
  mongo = await startMongo({ dataDir: folder });
  database = await newDatabase();
  world = await createWorld(nats, database.url);
}, 120_000);
afterAll(async () => {
  await world.close();
  await mongo.stop();
  await nats[Symbol.asyncDispose]();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

it('over MongoDB, a rebuild under load and kill -9 ends in the same rows, and no read fails or goes back', async () => {
  await rebuildUnderLoad({
    world,
    env: { ...rebuildEnv, READ_STORE: 'mongodb', MONGODB_URL: mongo.url },
    store: { kind: 'mongodb', url: mongo.url },
    dump: (version) => dumpDatabase(mongo.url, version === 1 ? 'chat_read' : `chat_read_v${version}`),
  });
}, 300_000);
