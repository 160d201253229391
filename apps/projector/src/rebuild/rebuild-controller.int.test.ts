import type { UserId } from '@chat/contracts/ids';
import { createLogger } from '@chat/platform/log';
import { beginRebuild, changeCatalog } from '@chat/read-model/catalog/catalog';
import { type PostgresStore, openPostgresStore } from '@chat/read-model/postgres/store';
import { teams } from '@chat/read-model/testing/arbitrary-history';
import { batchOf } from '@chat/read-model/testing/contract';
import { HistoryBuilder } from '@chat/read-model/testing/history-builder';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { type TestDatabase, newDatabase, testNats } from '@chat/testkit/servers/servers';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type World, createWorld } from '../testing/projector-world.ts';
import { createRebuildController } from './rebuild-controller.ts';

const log = createLogger({ app: 'test', instance: 'controller', level: 'silent' });
const first = { view: 'core', version: 1 } as const;
const second = { view: 'core', version: 2 } as const;
const builder = new HistoryBuilder();
builder.createTeam(teams[0]!, 'ann' as UserId, 'team');
const { events } = builder;
const all = batchOf(events, 0, events.length);

let nats: NatsServer;
let database: TestDatabase;
let world: World;
let store: PostgresStore;

beforeAll(async () => {
  nats = await testNats();
}, 60_000);
afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});
beforeEach(async () => {
  database = await newDatabase();
  world = await createWorld(nats, database.url);
  store = openPostgresStore({ url: database.url, maxCount: 2, name: 'test', timeoutMs: 10_000, log });
  await store.catalog.prepare();
  await store.open(first).target.applyBatch(all);
  await changeCatalog(store.catalog, 'core', beginRebuild);
  await store.prepareVersion(second);
}, 60_000);
afterEach(async () => {
  await world.dropStream();
  await store.close();
  await world.close();
  await database.drop();
});

/** The states of core after one look of a projector that has seen nothing before. */
const statesAfterLook = async (of = store): Promise<readonly string[]> => {
  const controller = createRebuildController({
    partitionCount: 4,
    nats: world.ops,
    store: of,
    graceMs: 60_000,
    intervalMs: 50,
    log,
  });
  await controller.afterLook(await store.catalog.read());
  return (await store.catalog.read()).entries.core.versions.map(({ state }) => state);
};

it('a version is not live before it has what the live one has, also when the streams were lost', async () => {
  expect(await statesAfterLook()).toEqual(['live', 'building']);
  await world.makeStream();
  expect(await statesAfterLook()).toEqual(['live', 'building']);
  await store.open(second).target.applyBatch(all);
  expect(await statesAfterLook()).toEqual(['retired', 'live']);
});

it('a live version of another epoch than the stream is no measure', async () => {
  await world.makeStream('epoch-2');
  expect(await statesAfterLook()).toEqual(['retired', 'live']);
});

it('statistics that cannot be gathered in time do not hold up a version that has caught up', async () => {
  await store.open(second).target.applyBatch(all);
  const timedOut = Object.assign(new Error('canceling statement due to statement timeout'), {
    code: '57014',
  });
  const slow = { ...store, analyzeVersion: () => Promise.reject(timedOut) };
  expect(await statesAfterLook(slow)).toEqual(['retired', 'live']);
});

it('a version with a number that the catalogue never gave is not dropped: the catalogue may be the older of the two', async () => {
  const third = { view: 'core', version: 3 } as const;
  const searched = { view: 'search', version: 2 } as const;
  for (const id of [third, searched]) await store.prepareVersion(id);
  await statesAfterLook();
  expect(await store.listVersions()).toEqual(expect.arrayContaining([first, second, third, searched]));
});
