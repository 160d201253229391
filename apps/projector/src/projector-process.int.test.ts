import type { ChannelId, UserId } from '@chat/contracts/ids';
import { teams } from '@chat/read-model/testing/arbitrary-history';
import { HistoryBuilder, uuidOf } from '@chat/read-model/testing/history-builder';
import { createReferenceModel } from '@chat/read-model/testing/reference-model';
import { type AppProcess, spawnApp } from '@chat/testkit/processes/app-process';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { freePort } from '@chat/testkit/servers/ports';
import { type PostgresServer, startPostgres } from '@chat/testkit/servers/postgres-server';
import { testNats } from '@chat/testkit/servers/servers';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type World, createWorld } from './testing/projector-world.ts';

const team = teams[0]!;
const ann = 'ann' as UserId;
const channel = uuidOf(0xabc) as ChannelId;
const within = { timeout: 30_000, interval: 25 };

let nats: NatsServer;
let postgres: PostgresServer;
let folder: string;
let world: World;
let running: AppProcess | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat-projector-'));
  await chmod(folder, 0o755);
  nats = await testNats();
  postgres = await startPostgres({ dataDir: join(folder, 'data'), fsync: false });
  world = await createWorld(nats, await postgres.createDatabase('projector'));
}, 120_000);
afterAll(async () => {
  await running?.stop(5_000);
  await world.close();
  await postgres.stop();
  await nats[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const start = async (): Promise<AppProcess> => {
  const env = {
    ...world.env,
    HEALTH_PORT: String(await freePort()),
    BATCH_MAX_COUNT: '40',
    BATCH_INTERVAL_MS: '5',
  };
  running = await spawnApp({ app: 'projector', env, from: 'source' });
  return running;
};

it('a projector killed with -9 at any moment, and a database killed under it, lose, double and reorder nothing', async () => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.createChannel(team, channel, 'private', 'chat', [ann]);
  for (let n = 0; n < 4_000; n += 1) builder.say(team, channel, ann, `text ${n}`);
  const { events } = builder;
  await world.makeStream();
  await world.commit(events);
  const appending = (async () => {
    for (let at = 0; at < events.length; at += 50) await world.append(events.slice(at, at + 50));
  })();
  const reached = (seq: number) =>
    vi.waitFor(async () => expect(await world.appliedSeq()).toBeGreaterThanOrEqual(seq), within);
  for (const seq of [200, 700, 1_400]) {
    const one = await start();
    await reached(seq);
    one.kill('SIGKILL');
    await one.exited;
  }
  const last = await start();
  await reached(2_000);
  await postgres.kill();
  await postgres.start();
  await appending;
  await reached(events.length);
  await last.ready();
  const reference = createReferenceModel(events, 'epoch-1');
  for (let after = 0; after < 4_000; after += 200) {
    const page = { limitCount: 200, after };
    const found = await world.readModel.messages(team, channel, ann, page);
    expect(found).toEqual(reference.messages(team, channel, ann, page));
  }
  await vi.waitFor(async () => expect(await world.position()).toMatchObject({ asOf: events.length }), within);
  const { code } = await last.stop(10_000);
  expect(code).toBe(0);
}, 120_000);
