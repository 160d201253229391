/**
 * A rebuild as an operator lives it: under load, with readers that never stop, and a projector killed with -9 in its middle.
 * The middle is made, not hoped for: a row is held back from event_log, so the build cannot get past it.
 */

import type { ChannelId, UserId } from '@chat/contracts/ids';
import { opsSubject } from '@chat/contracts/subjects';
import { createLogger } from '@chat/platform/log';
import { createMetrics } from '@chat/platform/metrics';
import { type LiveView, followLive } from '@chat/read-model/catalog/follow-live';
import { type ReadStore, openReadStore } from '@chat/read-model/open-read-store';
import type { ReadModel } from '@chat/read-model/port';
import { teams } from '@chat/read-model/testing/arbitrary-history';
import type { Dump } from '@chat/read-model/testing/dump-version';
import { HistoryBuilder, uuidOf } from '@chat/read-model/testing/history-builder';
import { createReferenceModel } from '@chat/read-model/testing/reference-model';
import { eventually } from '@chat/testkit/checking/eventually';
import { type AppProcess, spawnApp } from '@chat/testkit/processes/app-process';
import { freePort } from '@chat/testkit/servers/ports';
import { expect } from 'vitest';
import { type World, partition } from './projector-world.ts';

const team = teams[0]!;
const ann = 'ann' as UserId;
const channel = uuidOf(0xabc) as ChannelId;
const HISTORY_COUNT = 6_500;
const HELD_BACK_SEQ = 3_300;
const GRACE_MS = 2_000;
const PAUSE_MS = 5;
const log = createLogger({ app: 'test', instance: 'rebuild', level: 'silent' });

export type RebuildScenario = {
  readonly world: World;
  /** What the projector is told of its store. */
  readonly env: Readonly<Record<string, string>>;
  readonly store: { readonly kind: 'postgres' | 'mongodb'; readonly url: string };
  /** All rows of a version of core. */
  readonly dump: (version: number) => Promise<Dump>;
};

export const rebuildUnderLoad = async (scenario: RebuildScenario): Promise<void> => {
  const { world } = scenario;
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.createChannel(team, channel, 'private', 'chat', [ann]);
  for (let n = 0; n < HISTORY_COUNT; n += 1) builder.say(team, channel, ann, `text ${n}`);
  const history = [...builder.events];
  await world.makeStream();
  for (let at = 0; at < history.length; at += 500) await world.publish(history.slice(at, at + 500));

  const store = openReadStore({
    ...scenario.store,
    maxCount: 4,
    name: 'test-rebuild',
    timeoutMs: 5_000,
    metrics: createMetrics(),
    log,
  });
  const core = followLive({ store, view: 'core', portOf: (open) => open.core, intervalMs: 100, log });
  await core.start();
  const started: AppProcess[] = [];
  const start = async (): Promise<AppProcess> => {
    const env = { ...world.env, ...scenario.env, HEALTH_PORT: String(await freePort()) };
    const app = await spawnApp({ app: 'projector', env, from: 'source' });
    started.push(app);
    return app;
  };
  const load = endless(async () => {
    const from = builder.events.length;
    for (let n = 0; n < 3; n += 1) builder.say(team, channel, ann, `text ${from + n}`);
    await world.publish(builder.events.slice(from));
  });
  const readers: Loop[] = [];
  try {
    const first = await start();
    await eventually('version 1 is there', async () => (await seqOf(store, 1)) >= HISTORY_COUNT, slow);
    readers.push(...[1, 2].map(() => endless(reader(core.port))));
    await world.pool.query('DELETE FROM event_log WHERE p = $1 AND id = $2', [partition, HELD_BACK_SEQ]);
    expect(await ops(world, 'rebuild', { view: 'core' })).toEqual({ view: 'core', version: 2 });
    expect(await ops(world, 'rebuild', { view: 'core' })).toMatchObject({
      error: { code: 'REBUILD_RUNNING', retryable: false },
    });
    await eventually('half of it is built', async () => (await seqOf(store, 2)) === HELD_BACK_SEQ - 1, slow);
    first.kill('SIGKILL');
    await first.exited;
    await start();
    await eventually('a projector answers again', () => ops(world, 'views', {}).catch(() => false), slow);
    expect(await ops(world, 'rebuild.status', { view: 'core' })).toMatchObject({
      live: 1,
      building: 2,
      partitions: expect.arrayContaining([
        { partition, headSeq: expect.any(Number), seq: HELD_BACK_SEQ - 1 },
      ]),
    });
    await world.commit(history.slice(HELD_BACK_SEQ - 1, HELD_BACK_SEQ));
    await eventually('readers are on version 2', () => core.version() === 2, slow);
    await eventually('version 1 is dropped', () => isGone(store, 1), slow);
    await load.stop();
    await eventually('all is applied', async () => (await seqOf(store, 2)) === builder.events.length, slow);
    await expectHistory(core.port, builder);

    // Under load and through a kill on one side, in quiet on the other: row by row the same (I7).
    const built = await scenario.dump(2);
    expect(await ops(world, 'rebuild', { view: 'core' })).toEqual({ view: 'core', version: 3 });
    await eventually('readers are on version 3', () => core.version() === 3, slow);
    await eventually(
      'version 3 is whole',
      async () => (await seqOf(store, 3)) === builder.events.length,
      slow,
    );
    expect(await scenario.dump(3)).toEqual(built);
    await eventually('version 2 is dropped', () => isGone(store, 2), slow);
    await expectHistory(core.port, builder);
    await Promise.all(readers.map((one) => one.stop()));
    await eventually(
      'the membership view follows version 3',
      async () => (await world.position())?.asOf === builder.events.length,
      slow,
    );
  } catch (error) {
    const said = started.flatMap((app) => app.tail()).slice(-15);
    throw new Error(`${String(error)}\n${said.join('\n')}`, { cause: error });
  } finally {
    await Promise.allSettled([load.stop(), ...readers.map((one) => one.stop())]);
    for (const app of started) await app.stop(5_000);
    await core.stop();
    await store.close();
  }
};

/** The scenario's own projector environment. */
export const rebuildEnv = {
  CATALOG_INTERVAL_MS: '100',
  VIEW_GRACE_MS: String(GRACE_MS),
  BATCH_INTERVAL_MS: '20',
} as const;

const slow = { timeoutMs: 90_000, everyMs: 20 };

const seqOf = async (store: ReadStore, version: number): Promise<number> =>
  (await store.open({ view: 'core', version }).target.checkpoint(partition))?.seq ?? 0;

const isGone = async (store: ReadStore, version: number): Promise<boolean> => {
  const { entries } = await store.catalog.read();
  const isNamed = entries.core.versions.some((one) => one.version === version);
  const isHeld = (await store.listVersions()).some((one) => one.view === 'core' && one.version === version);
  return !isNamed && !isHeld;
};

const ops = async (world: World, name: string, input: object): Promise<object> => {
  const { data } = await world.ops.nc.request(opsSubject(name), JSON.stringify(input), { timeout: 10_000 });
  return JSON.parse(Buffer.from(data).toString()) as object;
};

type Loop = { readonly stop: () => Promise<void> };

/** Again and again until it is stopped; `stop` throws what a round threw. */
const endless = (round: () => Promise<void>): Loop => {
  let isOver = false;
  const running = (async () => {
    while (!isOver) {
      await round();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  })();
  running.catch(() => undefined);
  return {
    stop: () => {
      isOver = true;
      return running;
    },
  };
};

/** As the api serves a read with the `minSeq` of the answer before: wait for it, then ask; never refused, never older, no hole. */
const reader = (core: ReadModel): (() => Promise<void>) => {
  let minSeq = 0;
  return async () => {
    await eventually(
      `the store has ${minSeq}`,
      async () => ((await core.checkpoint(partition))?.seq ?? 0) >= minSeq,
      {
        timeoutMs: 20_000,
        everyMs: 5,
      },
    );
    const page = await core.messages(team, channel, ann, { limitCount: 50 });
    if (page.kind !== 'found') throw new Error(`a read was refused: ${page.kind}`);
    expect(page.asOf).toBeGreaterThanOrEqual(minSeq);
    const seqs = page.messages.map(({ channelSeq }) => channelSeq);
    expect(seqs).toEqual(Array.from({ length: 50 }, (_, at) => (seqs[0] ?? 0) + at));
    expect(page.messages.at(-1)?.seq).toBe(page.asOf);
    minSeq = page.asOf;
  };
};

const expectHistory = async (core: LiveView<ReadModel>['port'], builder: HistoryBuilder): Promise<void> => {
  const reference = createReferenceModel(builder.events, 'epoch-1');
  for (let after = 0; after < builder.events.length; after += 200) {
    const page = { limitCount: 200, after };
    expect(await core.messages(team, channel, ann, page)).toEqual(
      reference.messages(team, channel, ann, page),
    );
  }
};
