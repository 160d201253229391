/** Two projector processes on one database: who projects what, and that nothing is missed when one goes. */

import type { MembersPosition, MembershipView } from '@chat/contracts/events';
import { type ChannelId, type TeamId, type UserId, makeTeamId } from '@chat/contracts/ids';
import { evtStream, membersStream } from '@chat/contracts/streams';
import { evtSubject, mbrPositionSubject, mbrSubject } from '@chat/contracts/subjects';
import { ensureEvtStream, getMessage } from '@chat/platform/nats/streams';
import type { ReadEvent } from '@chat/read-model/port';
import { HistoryBuilder, uuidOf } from '@chat/read-model/testing/history-builder';
import { createReferenceModel } from '@chat/read-model/testing/reference-model';
import { type AppProcess, spawnApp } from '@chat/testkit/processes/app-process';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { freePort } from '@chat/testkit/servers/ports';
import { printTailIfFailed, testDatabase, testNats } from '@chat/testkit/servers/servers';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { type World, createWorld } from '../testing/projector-world.ts';

const PARTITION_COUNT = 4;
const MESSAGE_COUNT = 150;
/** Design: lease of 4 s, renewed every 0.5 s. */
const TAKEOVER_MAX_MS = 10_000;
/** Small, so that a kill or a stop comes in the middle. */
const BURST_COUNT = 5;
const EPOCH = 'epoch-1';
const ann = 'ann' as UserId;
const ben = 'ben' as UserId;
const within = { timeout: 60_000, interval: 25 };
vi.setConfig({ testTimeout: 120_000 });

let nats: NatsServer;
beforeAll(async () => {
  nats = await testNats();
});
afterAll(() => nats[Symbol.asyncDispose]());

type Line = {
  readonly p: number;
  readonly team: TeamId;
  readonly channel: ChannelId;
  readonly events: readonly ReadEvent[];
};

/** Members come and go to the end, so that MEMBERS has something to miss. */
const lineOf = (p: number): Line => {
  const team = makeTeamId(p, new Uint8Array(9).fill(p + 1));
  const channel = uuidOf(0xabc00 + p) as ChannelId;
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.addTeamMember(team, ben, 'member');
  builder.createChannel(team, channel, 'private', 'chat', [ann]);
  for (let n = 0; n < MESSAGE_COUNT; n += 1) {
    builder.say(team, channel, ann, `text ${n}`);
    if (n % 20 === 5) builder.join(team, channel, ben, 'member', 'private', 'chat');
    if (n % 20 === 15) builder.leave(team, channel, ben);
  }
  builder.join(team, channel, ben, 'member', 'private', 'chat');
  return { p, team, channel, events: builder.events };
};
const lines = Array.from({ length: PARTITION_COUNT }, (_, p) => lineOf(p));

const publish = async (world: World, { p, events }: Line, from: number, to: number): Promise<void> => {
  const part = events.slice(from, to);
  await world.pool.query(
    `INSERT INTO event_log SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[])`,
    [
      p,
      part.map(({ event }) => event.seq),
      part.map(({ teamId }) => teamId),
      part.map(({ scope }) => scope),
      part.map(({ event }) => JSON.stringify(event)),
    ],
  );
  for (let at = 0; at < part.length; at += BURST_COUNT)
    await Promise.all(
      part.slice(at, at + BURST_COUNT).map(({ teamId, scope, event }) =>
        world.writer.js.publish(evtSubject(teamId, scope), JSON.stringify(event), {
          expect: { lastSequence: event.seq - 1 },
        }),
      ),
    );
};

const createShared = async () => {
  const world = await createWorld(nats, await testDatabase());
  onTestFinished(async () => {
    for (const { p } of lines) await world.writer.jsm.streams.delete(evtStream(p));
    await world.ops.jsm.streams.delete(membersStream).catch(() => undefined);
    await world.close();
  });
  for (const { p } of lines) {
    await world.pool.query('INSERT INTO partition VALUES ($1, $2)', [p, EPOCH]);
    await ensureEvtStream(world.writer.jsm, p, { epoch: EPOCH });
  }

  const spawn = async (instance: string): Promise<AppProcess> => {
    const env = {
      ...world.env,
      INSTANCE_ID: instance,
      LOG_LEVEL: 'info',
      HEALTH_PORT: String(await freePort()),
      BATCH_MAX_COUNT: '10',
      BATCH_INTERVAL_MS: '5',
    };
    const projector = await spawnApp({ app: 'projector', env, from: 'source' });
    printTailIfFailed(instance, projector.tail);
    onTestFinished(async () => {
      projector.resume();
      projector.kill('SIGKILL');
      await projector.exited;
    });
    return projector;
  };

  const shares = async (): Promise<Readonly<Record<string, number>>> => {
    const { rows } = await world.pool.query<{ owner: string; count: number }>(
      `SELECT coalesce(owner, 'nobody') AS owner, count(*)::integer FROM chat_projector.lease GROUP BY 1`,
    );
    return Object.fromEntries(rows.map(({ owner, count }) => [owner, count]));
  };
  const sharesAre = (expected: Readonly<Record<string, number>>): Promise<void> =>
    vi.waitFor(async () => expect(await shares()).toEqual(expected), within);

  const valueAt = async <T>(subject: string): Promise<T | undefined> => {
    const message = await getMessage(world.ops.jsm, membersStream, { lastBySubject: subject });
    return message && (JSON.parse(Buffer.from(message.data).toString()) as T);
  };
  /** Read model and MEMBERS of every partition stand at the end of its history. */
  const atEnd = async (): Promise<void> => {
    for (const { p, events } of lines) {
      const end = { asOf: events.length, epoch: EPOCH };
      await vi.waitFor(
        async () => expect(await valueAt<MembersPosition>(mbrPositionSubject(p))).toEqual(end),
        within,
      );
    }
  };
  const expectNothingMissed = async (): Promise<void> => {
    await atEnd();
    for (const { p, team, channel, events } of lines) {
      expect(await world.readModel.checkpoint(p)).toMatchObject({ seq: events.length, epoch: EPOCH });
      const reference = createReferenceModel(events, EPOCH);
      for (let after = 0; after < MESSAGE_COUNT; after += 200) {
        const page = { limitCount: 200, after };
        expect(await world.readModel.messages(team, channel, ann, page)).toEqual(
          reference.messages(team, channel, ann, page),
        );
      }
      for (const user of [ann, ben]) {
        const { asOf: _, ...expected } = reference.membership(team, user);
        expect(await valueAt<MembershipView>(mbrSubject(team, user))).toMatchObject(expected);
      }
    }
  };
  const publishAll = (from: number, to: number): Promise<unknown> =>
    Promise.all(lines.map((line) => publish(world, line, from, to)));
  /** The read model of every partition has at least so many events. */
  const reached = (seq: number): Promise<void> =>
    vi.waitFor(async () => {
      for (const { p } of lines)
        expect((await world.readModel.checkpoint(p))?.seq ?? 0).toBeGreaterThanOrEqual(seq);
    }, within);
  const endSeq = Math.max(...lines.map(({ events }) => events.length));
  return { world, spawn, shares, sharesAre, publishAll, expectNothingMissed, reached, endSeq };
};

it('two share the partitions evenly; those of one killed with -9 have a new owner within 10 s and nothing is missed', async () => {
  const { spawn, sharesAre, publishAll, expectNothingMissed, reached, endSeq } = await createShared();
  const one = await spawn('one');
  await sharesAre({ one: 4 });
  await spawn('two');
  await sharesAre({ one: 2, two: 2 });
  await publishAll(0, 50);
  const rest = publishAll(50, endSeq);
  await reached(60);
  one.kill('SIGKILL');
  const killedAtMs = performance.now();
  await sharesAre({ two: 4 });
  expect(performance.now() - killedAtMs).toBeLessThan(TAKEOVER_MAX_MS);
  await rest;
  await expectNothingMissed();
});

it('one stopped with SIGSTOP in the middle of its work and woken after the takeover changes nothing; one that ends hands over at once', async () => {
  const { spawn, shares, sharesAre, publishAll, expectNothingMissed, reached, endSeq } = await createShared();
  const one = await spawn('one');
  await sharesAre({ one: 4 });
  const two = await spawn('two');
  await sharesAre({ one: 2, two: 2 });
  const all = publishAll(0, endSeq - 20);
  await reached(30);
  one.pause();
  await sharesAre({ two: 4 });
  await all;
  await reached(endSeq - 20);
  one.resume();
  await vi.waitFor(() => expect(one.tail().join('\n')).toContain('lease lost'), within);
  // It lives, so it gets its share again; what it had in its hands when it was stopped is not in the way.
  await sharesAre({ one: 2, two: 2 });
  const rest = publishAll(endSeq - 20, endSeq);
  one.kill('SIGTERM');
  expect(await one.exited).toMatchObject({ code: 0 });
  // Free when it has ended: nobody waits for a lease to expire.
  expect(await shares()).not.toHaveProperty('one');
  await rest;
  await expectNothingMissed();
  two.kill('SIGTERM');
  expect(await two.exited).toMatchObject({ code: 0 });
  expect(await shares()).toEqual({ nobody: 4 });
});
