import { type ChannelId, type CommandId, type UserId, makeTeamId } from '@chat/contracts/ids';
import { evtStream, membersStream } from '@chat/contracts/streams';
import type { Check } from '@chat/platform/health';
import { createMetrics } from '@chat/platform/metrics';
import type { ReadEvent } from '@chat/read-model/port';
import { arbitraryHistory, teams, users } from '@chat/read-model/testing/arbitrary-history';
import { askAll } from '@chat/read-model/testing/contract';
import { HistoryBuilder, uuidOf } from '@chat/read-model/testing/history-builder';
import { createReferenceModel } from '@chat/read-model/testing/reference-model';
import { type NatsServer } from '@chat/testkit/servers/nats-server';
import { type TestDatabase, newDatabase, testNats } from '@chat/testkit/servers/servers';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMembersStore } from './membership/members-store.ts';
import { type World, createWorld, partition } from './testing/projector-world.ts';

const team = teams[0]!;
const [ann, ben] = users as [UserId, UserId];
const channel = uuidOf(0xabc) as ChannelId;
const within = { timeout: 15_000, interval: 20 };

/** A team with a channel, its member ben, and `count` messages. */
const chat = (count: number): HistoryBuilder => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.addTeamMember(team, ben, 'member');
  builder.createChannel(team, channel, 'private', 'chat', [ann]);
  builder.join(team, channel, ben, 'member', 'private', 'chat');
  for (let n = 0; n < count; n += 1) builder.say(team, channel, ann, `text ${n}`);
  return builder;
};

let nats: NatsServer;
let database: TestDatabase;
let world: World;
beforeAll(async () => {
  nats = await testNats();
});
afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});
beforeEach(async () => {
  database = await newDatabase();
  world = await createWorld(nats, database.url);
});
afterEach(async () => {
  await world.dropStream();
  await world.close();
  await database.drop();
});

const applied = (events: readonly ReadEvent[]): Promise<void> =>
  vi.waitFor(async () => expect(await world.appliedSeq()).toBe(events.length), within);

/** The read model, MEMBERS and the position all say what the history says. */
const expectProjected = async (events: readonly ReadEvent[], epoch = 'epoch-1'): Promise<void> => {
  await applied(events);
  const reference = createReferenceModel(events, epoch);
  expect(await askAll(world.readModel)).toEqual(await askAll(reference));
  await vi.waitFor(
    async () => expect(await world.position()).toEqual({ asOf: events.length, epoch }),
    within,
  );
  for (const teamId of teams) {
    for (const userId of users) {
      const { asOf: _, ...expected } = reference.membership(teamId, userId);
      const view = await world.view(teamId, userId);
      if (view) expect(view).toMatchObject(expected);
      else expect(expected).toEqual({ epoch, channels: [] });
      expect(view?.role).toBe(expected.role);
    }
  }
};

const stateOf = (projector: { checks: Readonly<Record<string, Check>> }) =>
  projector.checks[`partition-${partition}`]!();
const clearMembers = async (): Promise<void> => {
  await world.ops.jsm.streams.delete(membersStream).catch(() => undefined);
};
const random = (seed: number): readonly ReadEvent[] =>
  fc.sample(arbitraryHistory, { seed, numRuns: 6 }).sort((a, b) => b.length - a.length)[0]!;

describe('a projector', () => {
  beforeEach(clearMembers);

  it('brings the log into the read model and the membership view, and says that it is ready', async () => {
    const events = random(1);
    await world.makeStream();
    const projector = await world.startProjector();
    await world.publish(events);
    await expectProjected(events);
    expect(stateOf(projector)).toMatchObject({
      ok: true,
      state: 'following',
      seq: events.length,
      lagCount: 0,
    });
  });

  it('waits for a stream that is not there yet', async () => {
    const { events } = chat(3);
    const projector = await world.startProjector();
    await vi.waitFor(() => expect(stateOf(projector)).toMatchObject({ ok: true, state: 'waiting' }), within);
    await world.makeStream();
    await world.publish(events);
    await expectProjected(events);
  });

  it('goes on where it was stopped, wherever that was', async () => {
    const events = random(2);
    await world.makeStream();
    for (let at = 0; at < events.length; at += 9) {
      const projector = await world.startProjector({ BATCH_MAX_COUNT: '2', BATCH_INTERVAL_MS: '1' });
      await world.publish(events.slice(at, at + 9));
      await vi.waitFor(async () => expect(await world.appliedSeq()).toBeGreaterThan(at), within);
      await projector.stop();
    }
    await world.startProjector();
    await expectProjected(events);
  });

  it('does no harm to another one on the same partitions', async () => {
    const events = random(3);
    await world.makeStream();
    await world.startProjector({ INSTANCE_ID: 'a', BATCH_MAX_COUNT: '3' });
    await world.startProjector({ INSTANCE_ID: 'b', BATCH_MAX_COUNT: '5' });
    for (let at = 0; at < events.length; at += 7) await world.publish(events.slice(at, at + 7));
    await expectProjected(events);
  });

  it('brings a store that was set back up to the log again, although nothing new happens', async () => {
    const events = random(5);
    await world.makeStream();
    await world.startProjector();
    await world.publish(events);
    await expectProjected(events);
    const { rows } = await world.pool.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'read' AND table_name NOT LIKE '%migration%'`,
    );
    await world.pool.query(`TRUNCATE ${rows.map(({ name }) => `read.${name}`).join(', ')}`);
    expect(await world.appliedSeq()).toBe(0);
    await expectProjected(events);
  });

  it('keeps its buffer within bounds and still reads everything', async () => {
    const { events } = chat(3_000);
    await world.makeStream();
    await world.publish(events);
    await world.startProjector({ BUFFER_MAX_COUNT: '1000', BATCH_MAX_COUNT: '50', BATCH_INTERVAL_MS: '1' });
    await applied(events);
  });
});

describe('what the stream no longer has', () => {
  beforeEach(clearMembers);

  it('is read from event_log before the feed begins', async () => {
    const { events } = chat(40);
    await world.makeStream();
    await world.publish(events);
    await world.writer.jsm.streams.purge(evtStream(partition), { seq: 30 });
    await world.startProjector();
    await expectProjected(events);
  });

  it('is read from event_log when it was lost while the projector was away', async () => {
    const { events } = chat(40);
    await world.makeStream();
    const first = await world.startProjector();
    await world.publish(events.slice(0, 20));
    await applied(events.slice(0, 20));
    await first.stop();
    await world.commit(events.slice(20));
    await world.dropStream();
    await world.makeStream('epoch-1', 36);
    await world.append(events.slice(35));
    await world.startProjector();
    await expectProjected(events);
  });

  it('inside the stream (removed by an operator) is read from event_log, whenever it was removed', async () => {
    const { events } = chat(40);
    const remove = (seq: number) => world.writer.jsm.streams.deleteMessage(evtStream(partition), seq);
    await world.makeStream();
    await world.publish(events.slice(0, 30));
    for (const seq of [3, 10, 11, 12, 20]) await remove(seq);
    const projector = await world.startProjector({ BATCH_MAX_COUNT: '4', BATCH_INTERVAL_MS: '1' });
    await applied(events.slice(0, 30));
    await world.publish(events.slice(30));
    await expectProjected(events);
    await vi.waitFor(
      () => expect(stateOf(projector)).toMatchObject({ ok: true, state: 'following' }),
      within,
    );
  });

  it('at the end of the stream (all of it purged, or its last message removed) is read from event_log', async () => {
    const { events } = chat(40);
    const projector = await world.startProjector();
    await world.makeStream();
    await world.publish(events.slice(0, 20));
    await applied(events.slice(0, 20));
    // Committed and appended while the projector is away, gone before it comes back; one stays to be followed.
    await projector.stop();
    await world.publish(events.slice(20, 30));
    await world.writer.jsm.streams.deleteMessage(evtStream(partition), 30);
    const second = await world.startProjector();
    await applied(events.slice(0, 30));
    await second.stop();
    await world.publish(events.slice(30));
    await world.writer.jsm.streams.purge(evtStream(partition));
    await world.startProjector();
    await expectProjected(events);
  });

  it('is waited for, never skipped, when event_log does not have it either', async () => {
    const { events } = chat(40);
    await world.makeStream();
    await world.publish(events);
    await world.writer.jsm.streams.purge(evtStream(partition), { seq: 30 });
    await world.pool.query('DELETE FROM event_log WHERE id = 12');
    const projector = await world.startProjector();
    await vi.waitFor(
      () =>
        expect(stateOf(projector)).toMatchObject({
          ok: false,
          // Another view may have come to the hole first: its trouble is told as well.
          seq: 11,
          reason: expect.stringContaining('event 12'),
        }),
      within,
    );
    expect(await world.appliedSeq()).toBe(11);
    await world.commit(events.slice(11, 12));
    await expectProjected(events);
  });
});

describe('a stream made anew while the projector follows it', () => {
  beforeEach(clearMembers);

  it('with the same events under the same numbers changes nothing', async () => {
    const { events } = chat(40);
    await world.makeStream();
    await world.startProjector();
    await world.publish(events.slice(0, 30));
    await applied(events.slice(0, 30));
    await world.dropStream();
    await world.makeStream();
    await world.append(events.slice(0, 30));
    await world.publish(events.slice(30));
    await expectProjected(events);
  });

  it('with another history halts the partition, and nothing is written', async () => {
    const { events } = chat(30);
    const other = chat(0);
    for (let n = 0; n < 40; n += 1) other.say(team, channel, ben, `other ${n}`);
    await world.makeStream();
    const projector = await world.startProjector();
    await world.publish(events);
    await applied(events);
    const before = await askAll(world.readModel);
    await world.dropStream();
    await world.makeStream();
    await world.append(other.events);
    await vi.waitFor(() => expect(stateOf(projector)).toMatchObject({ ok: false, state: 'halted' }), within);
    expect(await askAll(world.readModel)).toEqual(before);
  });

  it('of another epoch halts the partition unless event_log confirms the history', async () => {
    const { events } = chat(30);
    await world.makeStream('epoch-1');
    const first = await world.startProjector();
    await world.publish(events.slice(0, 20));
    await applied(events.slice(0, 20));
    await first.stop();
    await world.dropStream();
    await world.makeStream('epoch-2');
    await world.append(events.slice(0, 20));
    await world.setEpoch('epoch-1');
    const projector = await world.startProjector();
    await vi.waitFor(() => expect(stateOf(projector)).toMatchObject({ ok: false, state: 'halted' }), within);
    await projector.stop();
    await world.setEpoch('epoch-2');
    await world.startProjector();
    await world.publish(events.slice(20));
    await expectProjected(events, 'epoch-2');
  });
});

describe('an event of a team that lives in another partition', () => {
  beforeEach(clearMembers);
  const stray = (events: readonly ReadEvent[], at: number): readonly ReadEvent[] => [
    ...events.slice(0, at),
    {
      teamId: makeTeamId(partition - 1, new Uint8Array(9)),
      scope: `u_${ann}`,
      event: {
        seq: at + 1,
        type: 'command.rejected',
        v: 1,
        at: 1,
        commandId: uuidOf(0xbad) as CommandId,
        actor: ann,
        data: { code: 'TEAM_NOT_FOUND', message: 'no' },
      },
    } as ReadEvent,
    ...events
      .slice(at)
      .map((read) => ({ ...read, event: { ...read.event, seq: read.event.seq + 1 } }) as ReadEvent),
  ];

  it.each(['the stream', 'event_log'])('changes nothing and halts nothing, from %s', async (source) => {
    const events = stray(chat(5).events, 7);
    await world.makeStream();
    await world.commit(events);
    for (const [at, { teamId, scope, event }] of events.entries()) {
      await world.writer.js.publish(`evt.${partition}.${teamId}.${scope}`, JSON.stringify(event), {
        expect: { lastSequence: at },
      });
    }
    if (source === 'event_log') await world.writer.jsm.streams.purge(evtStream(partition), { seq: 10 });
    const projector = await world.startProjector();
    await expectProjected(events);
    expect(stateOf(projector)).toMatchObject({ ok: true, state: 'following' });
  });
});

describe('an event that is not understood', () => {
  it.each([
    ['an unknown type', { type: 'message.exploded' }],
    ['a newer version', { v: 2 }],
    ['another number than its place', { seq: 4711 }],
  ])('%s stops its partition there, loudly, and is not skipped', async (_, over) => {
    const { events } = chat(10);
    const bad = events.length - 3;
    const broken = events.map((read, at) =>
      at === bad ? ({ ...read, event: { ...read.event, ...over } } as ReadEvent) : read,
    );
    await world.makeStream();
    const projector = await world.startProjector();
    const append = broken.map((read, at) => ({ read, at }));
    await world.append(broken.slice(0, bad));
    for (const { read, at } of append.slice(bad)) {
      await world.writer.js.publish(
        `evt.${partition}.${read.teamId}.${read.scope}`,
        JSON.stringify(read.event),
        {
          expect: { lastSequence: at },
        },
      );
    }
    await vi.waitFor(() => expect(stateOf(projector)).toMatchObject({ ok: false, state: 'halted' }), within);
    expect(await world.appliedSeq()).toBe(bad);
  });
});

describe('its metrics', () => {
  beforeEach(clearMembers);

  it('tell the truth: caught up, behind a store that does not take a batch, and halted', async () => {
    const { events } = chat(30);
    const metrics = createMetrics();
    const valueOf = async (name: string): Promise<number | undefined> => {
      const metric = await metrics.registry.getSingleMetric(`chat_projector_${name}`)?.get();
      return metric?.values.find(({ labels }) => {
        const { partition: of = partition } = labels as { readonly partition?: number };
        return Number(of) === partition;
      })?.value;
    };
    const expectValues = (values: Readonly<Record<string, unknown>>): Promise<void> =>
      vi.waitFor(async () => {
        for (const [name, value] of Object.entries(values)) expect(await valueOf(name), name).toEqual(value);
      }, within);
    await world.makeStream();
    await world.startProjector({}, metrics);
    await world.publish(events.slice(0, 20));
    const caughtUp = { partition_position: 20, events_total: 20, lag_events: 0, lag_seconds: 0 };
    await expectValues({ ...caughtUp, partition_halted: 0 });
    const sizes = await metrics.registry.getSingleMetric('chat_projector_batch_events')?.get();
    expect(
      sizes?.values.find(
        (value) => 'metricName' in value && value.metricName === 'chat_projector_batch_events_sum',
      )?.value,
    ).toBe(20);

    const holder = await world.pool.connect();
    await holder.query('BEGIN; SELECT 1 FROM read.checkpoint FOR UPDATE');
    await world.publish(events.slice(20, 30));
    // The history's clock began in 2023.
    await expectValues({
      partition_position: 20,
      lag_events: 10,
      lag_seconds: expect.toSatisfy((s) => s > 3_600),
    });
    await holder.query('COMMIT');
    holder.release();
    await expectValues({ partition_position: 30, events_total: 30, lag_events: 0, lag_seconds: 0 });

    const { teamId, scope, event } = events[30]!;
    await world.writer.js.publish(`evt.${partition}.${teamId}.${scope}`, JSON.stringify({ ...event, v: 99 }));
    await expectValues({ partition_position: 30, lag_events: 1, partition_halted: 1 });
    expect(await valueOf('lag_seconds')).toBeGreaterThan(3_600);
  });
});

describe('the membership view', () => {
  beforeEach(clearMembers);

  it('and its position are there before the first event, so that a gateway need not wait for one', async () => {
    await world.startProjector();
    await vi.waitFor(async () => {
      const { config } = await world.ops.jsm.streams.info(membersStream);
      expect(config.max_msgs_per_subject).toBe(1);
    }, within);
    await world.makeStream();
    await vi.waitFor(
      async () => expect(await world.position()).toEqual({ asOf: 0, epoch: 'epoch-1' }),
      within,
    );
  });

  it('is made up for by the next start when a projector died between commit and publish', async () => {
    const { events } = chat(5);
    await world.makeStream();
    await world.publish(events);
    const digestSource = JSON.stringify(events.at(-1)!.event);
    const { payloadDigest } = await import('./partition/decode-event.ts');
    await world.readModel.applyBatch({
      partition,
      epoch: 'epoch-1',
      afterSeq: 0,
      upTo: events.length,
      events,
      digest: payloadDigest(Buffer.from(digestSource)),
    });
    await world.startProjector();
    await expectProjected(events);
    expect(await world.view(team, ben)).toMatchObject({ role: 'member', channels: [{ id: channel }] });
  });

  it('is written again when the stream was deleted under a running projector', async () => {
    const { events } = chat(5);
    await world.makeStream();
    await world.startProjector();
    await world.publish(events);
    await expectProjected(events);
    await clearMembers();
    await expectProjected(events);
    expect(await world.view(team, ben)).toMatchObject({ role: 'member' });
  });

  it('of one removed from the team has no role and no channels', async () => {
    const builder = chat(1);
    builder.removeTeamMember(team, ben);
    await world.makeStream();
    await world.startProjector();
    await world.publish(builder.events);
    await expectProjected(builder.events);
    const view = await world.view(team, ben);
    expect(view).toEqual({ asOf: expect.any(Number), epoch: 'epoch-1', channels: [] });
  });

  it('is never replaced by an older value', async () => {
    const store = createMembersStore(world.ops);
    await store.ensure();
    const subject = `mbr.${partition}.x.y`;
    const epoch = 'epoch-1';
    expect(await store.put(subject, { asOf: 5, epoch })).toMatchObject({ kind: 'stored' });
    expect(await store.put(subject, { asOf: 4, epoch })).toMatchObject({
      kind: 'newer',
      stored: { asOf: 5 },
    });
    const stale = await store.get(subject);
    expect(await store.put(subject, { asOf: 9, epoch }, stale)).toMatchObject({ kind: 'stored' });
    // A swap that rests on what was read before someone else wrote loses, reads again, and sees that it is older.
    expect(await store.put(subject, { asOf: 7, epoch }, stale)).toMatchObject({
      kind: 'newer',
      stored: { asOf: 9 },
    });
    const writes = [11, 14, 10, 13, 12].map((asOf) => store.put(subject, { asOf, epoch }));
    await Promise.all(writes);
    expect(await store.get(subject)).toMatchObject({ asOf: 14 });
  });
});
