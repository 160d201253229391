import { resolve } from 'node:path';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import { evtStream, membersStream } from '@chat/contracts/streams';
import { opsSubject } from '@chat/contracts/subjects';
import type { Check } from '@chat/platform/health';
import { createLogger } from '@chat/platform/log';
import { createMetrics } from '@chat/platform/metrics';
import type { VersionId } from '@chat/read-model/catalog/view-store';
import { type PostgresStore, openPostgresStore } from '@chat/read-model/postgres/store';
import { teams, users } from '@chat/read-model/testing/arbitrary-history';
import { HistoryBuilder, uuidOf } from '@chat/read-model/testing/history-builder';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { type Child, spawnChild } from '@chat/testkit/servers/child-process';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { type TestDatabase, newDatabase, testNats } from '@chat/testkit/servers/servers';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { type World, createWorld, partition } from '../testing/projector-world.ts';

const team = teams[0]!;
const [ann] = users as [UserId];
const channel = uuidOf(0xabc) as ChannelId;
const within = { timeout: 60_000, interval: 20 };
vi.setConfig({ testTimeout: 180_000 });
const quick = { CATALOG_INTERVAL_MS: '50', VIEW_GRACE_MS: '2000', BATCH_INTERVAL_MS: '5' };
const log = createLogger({ app: 'test', instance: 'views', level: 'silent' });

const chat = (count: number): HistoryBuilder => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.createChannel(team, channel, 'private', 'chat', [ann]);
  for (let n = 0; n < count; n += 1) builder.say(team, channel, ann, `text ${n}`);
  return builder;
};

let nats: NatsServer;
let database: TestDatabase;
let world: World;
let store: PostgresStore;
const children: Child[] = [];

beforeAll(async () => {
  nats = await testNats();
});
afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});
beforeEach(async () => {
  database = await newDatabase();
  world = await createWorld(nats, database.url);
  store = openPostgresStore({ url: database.url, maxCount: 2, name: 'test', timeoutMs: 10_000, log });
});
afterEach(async () => {
  for (const child of children.splice(0)) await child.end('SIGKILL', 5_000);
  await world.dropStream();
  await world.ops.jsm.streams.delete(membersStream).catch(() => undefined);
  await store.close();
  await world.close();
  await database.drop();
});

const request = async (name: string, body: string): Promise<Record<string, unknown>> => {
  const { data } = await world.ops.nc.request(opsSubject(name), body, { timeout: 10_000 });
  return JSON.parse(Buffer.from(data).toString()) as Record<string, unknown>;
};
const seqOf = async (id: VersionId): Promise<number> =>
  (await store.open(id).target.checkpoint(partition))?.seq ?? 0;
const versionsOf = async (view: 'core' | 'search') =>
  (await store.catalog.read()).entries[view].versions.map(({ version, state }) => `${version} ${state}`);
const held = async (view: 'core' | 'search') =>
  (await store.listVersions()).flatMap((id) => (id.view === view ? [id.version] : [])).sort();

/** The same entry that an operator runs, with the environment of a projector. */
const cli = async (...args: string[]): Promise<Child> => {
  const entry = resolve(repositoryRoot, 'apps/projector/src/cli.ts');
  const flags = ['--conditions=@chat/source', '--disable-warning=ExperimentalWarning'];
  const child = await spawnChild({
    command: process.execPath,
    args: [...flags, entry, ...args],
    cwd: repositoryRoot,
    env: { PATH: process.env['PATH'], TZ: 'UTC', ...world.env },
  });
  children.push(child);
  return child;
};

it('an operator asks on chat.ops, with the rights of the account ops, and gets JSON', async () => {
  const { events } = chat(10);
  await world.makeStream();
  await world.publish(events);
  await world.startProjector(quick);
  await vi.waitFor(
    async () => expect(await seqOf({ view: 'search', version: 1 })).toBe(events.length),
    within,
  );
  await vi.waitFor(async () => expect(await seqOf({ view: 'core', version: 1 })).toBe(events.length), within);
  const caughtUp = { version: 1, state: 'live', appliedCount: events.length, lagMaxCount: 0 };
  expect(await request('views', '')).toMatchObject({
    views: [
      { view: 'core', versions: [caughtUp] },
      { view: 'search', versions: [caughtUp] },
    ],
  });
  expect(await request('rebuild.status', '{"view":"core"}')).toEqual({ view: 'core', live: 1 });
});

it('what is not understood is refused by a code and changes nothing', async () => {
  await world.makeStream();
  await world.startProjector(quick);
  const code = async (name: string, body: string) => (await request(name, body))['error'];
  const refusedWith = (named: string) => ({ code: named, message: expect.any(String), retryable: false });
  expect(await code('rebuilt', '{}')).toEqual(refusedWith('OPS_UNKNOWN'));
  expect(await code('constructor', '{}')).toEqual(refusedWith('OPS_UNKNOWN'));
  for (const body of ['[]', 'core', '"core"', '{"view":"core"', `{"a":"${'x'.repeat(20_000)}"}`])
    expect(await code('rebuild', body)).toEqual(refusedWith('OPS_INPUT_INVALID'));
  for (const body of ['', '{}', '{"view":"chore"}', '{"view":["core"]}', '{"view":1}'])
    expect(await code('rebuild', body)).toEqual(refusedWith('OPS_INPUT_INVALID'));
  expect(await code('rebuild.abort', '{"view":"search"}')).toEqual(refusedWith('REBUILD_NOT_RUNNING'));
  expect((await store.catalog.read()).entries.core.revision).toBe(0);
});

it('a rebuild that is given up leaves the live version, and nothing of its own', async () => {
  const { events } = chat(40);
  await world.makeStream();
  await world.publish(events);
  await world.writer.jsm.streams.purge(evtStream(partition), { seq: 30 });
  const first = { view: 'core', version: 1 } as const;
  await world.startProjector(quick);
  await vi.waitFor(async () => expect(await seqOf(first)).toBe(events.length), within);
  await world.pool.query('DELETE FROM event_log WHERE id = 12');
  expect(await request('rebuild', '{"view":"core"}')).toEqual({ view: 'core', version: 2 });
  await vi.waitFor(async () => expect(await seqOf({ view: 'core', version: 2 })).toBe(11), within);
  expect(await request('rebuild.abort', '{"view":"core"}')).toEqual({ view: 'core', version: 2 });
  await vi.waitFor(async () => expect(await versionsOf('core')).toEqual(['1 live']), within);
  // Made again by who slept through its end: a projector that begins sweeps it.
  await store.prepareVersion({ view: 'core', version: 2 });
  await world.startProjector({ ...quick, INSTANCE_ID: 'p2' });
  await vi.waitFor(async () => expect(await held('core')).toEqual([1]), within);
  expect(await seqOf(first)).toBe(events.length);
});

it('a rebuild goes on without the command line that began it, and tells a person how far it is', async () => {
  const { events } = chat(40);
  await world.makeStream();
  await world.publish(events);
  await world.startProjector(quick);
  await vi.waitFor(async () => expect(await seqOf({ view: 'core', version: 1 })).toBe(events.length), within);
  await world.writer.jsm.streams.purge(evtStream(partition), { seq: 30 });
  await world.pool.query('DELETE FROM event_log WHERE id = 12');
  const killed = await cli('rebuild', 'core');
  await vi.waitFor(() => expect(killed.tail().join('\n')).toContain(`(11 of ${events.length})`), within);
  killed.signal('SIGKILL');
  await killed.exited;
  await world.commit(events.slice(11, 12));
  await vi.waitFor(async () => expect(await versionsOf('core')).toEqual(['2 live']), within);
  expect(await held('core')).toEqual([2]);
  const second = await cli('rebuild', 'search');
  const { code } = await second.exited;
  expect(second.tail().join('\n')).toContain('version 2 is live');
  expect(code).toBe(0);
  const refused = await cli('rebuild', 'chore');
  expect((await refused.exited).code).toBe(1);
  expect(refused.tail().join('\n')).toContain('OPS_INPUT_INVALID');
});

it('an event that one view cannot follow stops that view alone, with a reason', async () => {
  const builder = chat(10);
  const sound = builder.events.length;
  builder.say(team, uuidOf(0xbad) as ChannelId, ann, 'into a channel that was never made');
  for (let n = 0; n < 5; n += 1) builder.say(team, channel, ann, `after ${n}`);
  const metrics = createMetrics();
  await world.makeStream();
  const projector = await world.startProjector(quick, metrics);
  await world.publish(builder.events);
  await vi.waitFor(
    async () => expect(await seqOf({ view: 'search', version: 1 })).toBe(builder.events.length),
    within,
  );
  const check: Check = projector.checks[`partition-${partition}`]!;
  await vi.waitFor(() => expect(check()).toMatchObject({ ok: false, state: 'halted' }), within);
  expect(await seqOf({ view: 'core', version: 1 })).toBe(sound);
  const gauge = await metrics.registry.getSingleMetric('chat_projector_partition_halted')?.get();
  const halted = gauge?.values.filter(({ value }) => value === 1).map(({ labels }) => labels);
  expect(halted).toEqual([{ partition, view: 'core', stage: 'live' }]);
});
