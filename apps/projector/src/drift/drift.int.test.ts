import type { ChannelId, UserId } from '@chat/contracts/ids';
import { membersStream } from '@chat/contracts/streams';
import { opsSubject } from '@chat/contracts/subjects';
import { createMetrics } from '@chat/platform/metrics';
import { teams, users } from '@chat/read-model/testing/arbitrary-history';
import { HistoryBuilder, uuidOf } from '@chat/read-model/testing/history-builder';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { type TestDatabase, newDatabase, testNats } from '@chat/testkit/servers/servers';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { type World, createWorld, partition } from '../testing/projector-world.ts';

const team = teams[0]!;
const [ann, ben] = users as [UserId, UserId];
const channel = uuidOf(0xabc) as ChannelId;
const within = { timeout: 20_000, interval: 20 };

let nats: NatsServer;
let database: TestDatabase;
let world: World;
let builder: HistoryBuilder;

beforeAll(async () => {
  nats = await testNats();
});
afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});
beforeEach(async () => {
  database = await newDatabase();
  world = await createWorld(nats, database.url);
  await world.ops.jsm.streams.delete(membersStream).catch(() => undefined);
  builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.createChannel(team, channel, 'private', 'chat', [ann]);
  for (let n = 0; n < 300; n += 1) builder.say(team, channel, ann, `text ${n}`);
  await world.makeStream();
  await world.publish(builder.events);
});
afterEach(async () => {
  await world.dropStream();
  await world.close();
  await database.drop();
});

type Answer = {
  readonly driftCount: number;
  readonly foundCount?: number;
  readonly error?: { readonly code: string };
  readonly partitions: readonly {
    readonly kind: string;
    readonly memberViewCount?: number;
    readonly memberViews?: { readonly checkedCount: number; readonly driftCount: number };
    readonly drifts?: readonly { readonly kind: string; readonly what: string; readonly range?: object }[];
  }[];
};
const request = async (name: string, body: object): Promise<Answer> => {
  const { data } = await world.ops.nc.request(opsSubject(name), JSON.stringify(body), { timeout: 30_000 });
  return JSON.parse(Buffer.from(data).toString()) as Answer;
};
/** Started, and heard of by the server: its subscription and our request go over two connections. */
const start = async (...options: Parameters<World['startProjector']>): Promise<void> => {
  await world.startProjector(...options);
  await vi.waitFor(() => world.ops.nc.request(opsSubject('views'), '', { timeout: 10_000 }), within);
};
const caughtUp = (): Promise<void> =>
  vi.waitFor(async () => {
    expect(await world.appliedSeq()).toBe(builder.events.length);
    expect(await world.position()).toMatchObject({ asOf: builder.events.length });
  }, within);
/** What was said since the last call. */
const publishNews = async (from: number): Promise<void> => world.publish(builder.events.slice(from));

it('an operator asks a projector at work: no false alarm; what was done by hand is named, put right, and gone', async () => {
  await start({ BATCH_INTERVAL_MS: '1' });
  await caughtUp();
  let isOver = false;
  const load = (async () => {
    for (let n = 0; !isOver; n += 1) {
      const from = builder.events.length;
      for (let k = 0; k < 5; k += 1) builder.say(team, channel, ann, `more ${n}`);
      if (n % 4 === 0) builder.mark(team, channel, ann, 1 + n);
      await publishNews(from);
    }
  })();
  try {
    for (let run = 0; run < 20; run += 1)
      expect(await request('drift', { partition })).toMatchObject({
        driftCount: 0,
        partitions: [{ kind: 'checked' }],
      });
    await world.pool.query(
      `DELETE FROM read.message WHERE channel_id = $1 AND channel_seq BETWEEN 100 AND 109`,
      [channel],
    );
    await world.pool.query(
      `UPDATE read.message SET text = 'forged' WHERE channel_id = $1 AND channel_seq = 7`,
      [channel],
    );
    const found = await request('drift', { team });
    expect(found.driftCount).toBe(11);
    expect(found.partitions[0]?.drifts).toMatchObject([
      { kind: 'differs', what: 'message', range: { from: 7, to: 7 } },
      { kind: 'missing', what: 'message', range: { from: 100, to: 109 } },
    ]);
    expect(await request('drift.repair', { partition })).toMatchObject({ foundCount: 11, driftCount: 0 });
    expect(await request('drift', {})).toMatchObject({ driftCount: 0 });
  } finally {
    isOver = true;
    await load;
  }
  await caughtUp();
  expect(await request('drift', { partition })).toMatchObject({ driftCount: 0 });
}, 90_000);

it('a wrong membership that was published as well is put right in both', async () => {
  await start();
  await caughtUp();
  await world.pool.query(`UPDATE read.channel_member SET role = 'owner' WHERE user_id = $1`, [ann]);
  const from = builder.events.length;
  builder.createChannel(team, uuidOf(0xabd) as ChannelId, 'public', 'other', [ann]);
  builder.addTeamMember(team, ben, 'member');
  await publishNews(from);
  await caughtUp();
  const role = async () => (await world.view(team, ann))?.channels.find(({ id }) => id === channel)?.role;
  expect(await role()).toBe('owner');
  const found = await request('drift', { partition });
  expect(found).toMatchObject({
    driftCount: 2,
    partitions: [{ memberViews: { checkedCount: 2, driftCount: 1 } }],
  });
  expect(await request('drift.repair', { partition })).toMatchObject({
    driftCount: 0,
    partitions: [{ memberViewCount: 1 }],
  });
  expect(await role()).toBe('admin');
}, 60_000);

it('a projector compares by itself, and its metrics say what it found and when', async () => {
  const metrics = createMetrics();
  const values = async (name: string) =>
    (await metrics.registry.getSingleMetric(`chat_projector_drift_${name}`)?.get())?.values ?? [];
  const missing = async () =>
    (await values('rows')).find(({ labels }) => labels['what'] === 'message' && labels['kind'] === 'missing')
      ?.value;
  await start({ DRIFT_INTERVAL_MS: '50', BATCH_INTERVAL_MS: '1' }, metrics);
  await caughtUp();
  await vi.waitFor(async () => expect(await values('checked_timestamp_seconds')).toHaveLength(1), within);
  expect(await values('rows')).toEqual([]);
  await world.pool.query('DELETE FROM read.message WHERE channel_seq <= 3');
  await vi.waitFor(async () => expect(await missing()).toBe(3), within);
  const [at] = await values('checked_timestamp_seconds');
  expect(at).toMatchObject({ labels: { partition } });
  expect(Number(at?.value)).toBeGreaterThan(1_700_000_000);
  expect(await request('drift.repair', { partition })).toMatchObject({ driftCount: 0 });
  await vi.waitFor(async () => expect(await missing()).toBeUndefined(), within);
}, 60_000);

it('what is not understood is refused, and nothing is done', async () => {
  await start();
  const wrong = [
    { partition: 99 },
    { partition: '3' },
    { team: 'nobody' },
    { team, partition: 1 },
    { view: 'search' },
    { depth: 'deep' },
    { version: 0 },
    { partion: 3 },
    { repair: 'yes' },
  ];
  for (const name of ['drift', 'drift.repair'])
    for (const body of wrong)
      expect((await request(name, body)).error?.code, JSON.stringify(body)).toBe('OPS_INPUT_INVALID');
}, 60_000);
