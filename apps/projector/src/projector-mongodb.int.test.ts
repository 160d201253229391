import type { ChannelId, UserId } from '@chat/contracts/ids';
import { type MongoStore, openMongoStore } from '@chat/read-model/mongo/store';
import { teams } from '@chat/read-model/testing/arbitrary-history';
import { HistoryBuilder, uuidOf } from '@chat/read-model/testing/history-builder';
import { createReferenceModel } from '@chat/read-model/testing/reference-model';
import { type AppProcess, spawnApp } from '@chat/testkit/processes/app-process';
import { type MongoServer, startMongo } from '@chat/testkit/servers/mongo-server';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { freePort } from '@chat/testkit/servers/ports';
import { newDatabase, testNats } from '@chat/testkit/servers/servers';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type World, createWorld, partition } from './testing/projector-world.ts';

const team = teams[0]!;
const ann = 'ann' as UserId;
const channel = uuidOf(0xabc) as ChannelId;
const within = { timeout: 30_000, interval: 50 };

let nats: NatsServer;
let mongo: MongoServer;
let folder: string;
let database: Awaited<ReturnType<typeof newDatabase>>;
let world: World;
let store: MongoStore;
let running: AppProcess | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat-projector-mongo-'));
  nats = await testNats();
  mongo = await startMongo({ dataDir: folder });
  database = await newDatabase();
  world = await createWorld(nats, database.url);
  store = openMongoStore({ url: mongo.url, maxCount: 2, name: 'test', timeoutMs: 10_000 });
}, 120_000);
afterAll(async () => {
  await running?.stop(5_000);
  await store.close();
  await world.close();
  await mongo.stop();
  await nats[Symbol.asyncDispose]();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

const start = async (): Promise<AppProcess> => {
  const env = {
    ...world.env,
    READ_STORE: 'mongodb',
    MONGODB_URL: mongo.url,
    HEALTH_PORT: String(await freePort()),
    BATCH_MAX_COUNT: '40',
    BATCH_INTERVAL_MS: '5',
  };
  running = await spawnApp({ app: 'projector', env, from: 'source' });
  return running;
};

it('over MongoDB, a projector killed with -9 and a mongod killed under it lose, double and reorder nothing', async () => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.createChannel(team, channel, 'private', 'chat', [ann]);
  for (let n = 0; n < 2_000; n += 1) builder.say(team, channel, ann, `text ${n}`);
  const { events } = builder;
  await world.makeStream();
  await world.commit(events);
  const appending = (async () => {
    for (let at = 0; at < events.length; at += 50) await world.append(events.slice(at, at + 50));
  })();
  const reached = (seq: number) =>
    vi.waitFor(async () => {
      expect((await store.readModel.checkpoint(partition))?.seq ?? 0).toBeGreaterThanOrEqual(seq);
    }, within);
  for (const seq of [200, 700]) {
    const one = await start();
    await reached(seq);
    one.kill('SIGKILL');
    await one.exited;
  }
  const last = await start();
  await reached(1_000);
  await mongo.kill();
  await mongo.start();
  await appending;
  await reached(events.length);
  await last.ready();
  const reference = createReferenceModel(events, 'epoch-1');
  for (let after = 0; after < 2_000; after += 200) {
    const page = { limitCount: 200, after };
    const found = await store.readModel.messages(team, channel, ann, page);
    expect(found).toEqual(reference.messages(team, channel, ann, page));
  }
  await vi.waitFor(async () => expect(await world.position()).toMatchObject({ asOf: events.length }), within);
  const { code } = await last.stop(10_000);
  expect(code).toBe(0);
}, 120_000);
