import { dumpSchema } from '@chat/read-model/testing/dump-version';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { type TestDatabase, newDatabase, testNats } from '@chat/testkit/servers/servers';
import { afterAll, beforeAll, it } from 'vitest';
import { type World, createWorld } from '../testing/projector-world.ts';
import { rebuildEnv, rebuildUnderLoad } from '../testing/rebuild-scenario.ts';

let nats: NatsServer;
let database: TestDatabase;
let world: World;

beforeAll(async () => {
  nats = await testNats();
  database = await newDatabase();
  world = await createWorld(nats, database.url);
}, 60_000);
afterAll(async () => {
  await world.close();
  await nats[Symbol.asyncDispose]();
  await database.drop();
});

it('over PostgreSQL, a rebuild under load and kill -9 ends in the same rows, and no read fails or goes back', async () => {
  await rebuildUnderLoad({
    world,
    env: rebuildEnv,
    store: { kind: 'postgres', url: database.url },
    dump: (version) => dumpSchema(world.pool, version === 1 ? 'read' : `chat_read_v${version}`),
  });
}, 300_000);
