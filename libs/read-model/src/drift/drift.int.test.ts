import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import { createLogger } from '@chat/platform/log';
import { newDatabase } from '@chat/testkit/servers/servers';
import { MongoClient } from 'mongodb';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ViewStore } from '../catalog/view-store.ts';
import { openMongoStore } from '../mongo/store.ts';
import { testMongo } from '../mongo/testing.ts';
import type { ReadEvent, ReadModel } from '../port.ts';
import { openPostgresStore } from '../postgres/store.ts';
import { channelOf, historyPartition as partition, teams, users } from '../testing/arbitrary-history.ts';
import { applyAll, askAll, batchOf, digestOf, epoch } from '../testing/contract.ts';
import { HistoryBuilder } from '../testing/history-builder.ts';
import { createReferenceModel } from '../testing/reference-model.ts';
import { type DriftReport, checkDrift } from './check.ts';
import { type DriftLog, RANGE_COUNT } from './port.ts';
import { repairDrift } from './repair.ts';

const log = createLogger({ app: 'test', instance: 'drift', level: 'silent' });
const version = { view: 'core', version: 1 } as const;
const [team, otherTeam] = teams as [TeamId, TeamId];
const [ann, ben] = users as [UserId, UserId];
const open = channelOf(0, 0);
const secret = channelOf(0, 1);
const PAGE_COUNT = 700;

/** A log as the writer keeps it: what a history holds, page by page. */
const logOf = (events: readonly ReadEvent[]): DriftLog => ({
  read: async ({ teamId }, afterSeq, upTo, channel) => {
    const reachedSeq = Math.min(upTo, afterSeq + PAGE_COUNT);
    const page = events.slice(afterSeq, reachedSeq).filter((read) => {
      if (teamId !== undefined && read.teamId !== teamId) return false;
      return !channel || (read.event.type === 'message.sent' && read.event.channelId === channel.channelId);
    });
    return { events: page, reachedSeq };
  },
  digest: async (_partition, seq) => digestOf(seq),
  epoch: async () => epoch,
});

/** Two teams, three channels, tombstones and marks; more than one range of messages in the first channel. */
const chat = (): HistoryBuilder => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'one');
  builder.createTeam(otherTeam, ann, 'two');
  builder.addTeamMember(team, ben, 'member');
  builder.createChannel(team, open, 'public', 'open', [ann]);
  builder.createChannel(team, secret, 'private', 'secret', [ann]);
  builder.createChannel(otherTeam, channelOf(1, 0), 'public', 'there', [ann]);
  builder.say(otherTeam, channelOf(1, 0), ann, 'elsewhere');
  builder.join(team, open, ben, 'member', 'public', 'open');
  builder.join(team, secret, ben, 'member', 'private', 'secret');
  for (let n = 1; n <= RANGE_COUNT + 50; n += 1) builder.say(team, open, n % 3 ? ann : ben, `text ${n}`);
  for (let n = 1; n <= 20; n += 1) builder.say(team, secret, ann, `secret ${n}`);
  builder.leave(team, secret, ben);
  builder.mark(team, open, ann, 30);
  builder.mark(team, open, ben, 40);
  return builder;
};

type Wrong = 'lost' | 'changed' | 'made up' | 'head' | 'role' | 'ghost' | 'mark' | 'name' | 'team' | 'nobody';
type Harness = {
  readonly store: ViewStore;
  readonly model: ReadModel;
  /** Puts one row wrong by hand. */
  readonly spoil: (what: Wrong) => Promise<unknown>;
  /** As another process has it. */
  readonly another: () => ViewStore & { close(): Promise<void> };
  readonly clear: () => Promise<void>;
  readonly close: () => Promise<void>;
};

const openPostgres = async (): Promise<Harness> => {
  const database = await newDatabase();
  const another = () =>
    openPostgresStore({ url: database.url, maxCount: 6, name: 'test', timeoutMs: 10_000, log });
  const store = another();
  await store.prepareVersion(version);
  const pool = new pg.Pool({ connectionString: database.url, max: 2 });
  const sql: Readonly<Record<Wrong, string>> = {
    lost: `DELETE FROM read.message WHERE channel_id = '${open}' AND channel_seq BETWEEN 10 AND 12`,
    changed: `UPDATE read.message SET text = 'forged' WHERE channel_id = '${open}' AND channel_seq = ${RANGE_COUNT + 7}`,
    'made up': `INSERT INTO read.message SELECT team_id, channel_id, 5000, 5000, 5, message_id, actor, at, 'made up'
      FROM read.message WHERE channel_id = '${secret}' AND channel_seq = 1`,
    head: `UPDATE read.channel SET counted_seq = counted_seq + 2 WHERE channel_id = '${open}'`,
    role: `UPDATE read.channel_member SET role = 'owner' WHERE user_id = '${ben}' AND channel_id = '${open}'`,
    ghost: `UPDATE read.channel_member SET removed = false WHERE user_id = '${ben}' AND channel_id = '${secret}'`,
    mark: `UPDATE read.read_mark SET up_to = 3 WHERE user_id = '${ben}'`,
    name: `UPDATE read.channel SET name = 'other' WHERE channel_id = '${secret}'`,
    team: `DELETE FROM read.team WHERE team_id = '${otherTeam}'`,
    nobody: `INSERT INTO read.team_member VALUES ('${team}', 'nobody', ${partition}, 'owner', false, 1)`,
  };
  const tables = ['checkpoint', 'team', 'team_member', 'channel', 'channel_member', 'read_mark', 'message'];
  return {
    store,
    another,
    model: store.open(version).core!,
    spoil: (what) => pool.query(sql[what]),
    clear: async () => void (await pool.query(`TRUNCATE ${tables.map((name) => `read.${name}`).join(', ')}`)),
    close: async () => {
      await pool.end();
      await store.close();
      await database.drop();
    },
  };
};

const openMongo = async (): Promise<Harness> => {
  const server = await testMongo();
  const another = () => openMongoStore({ url: server.url, maxCount: 6, name: 'test', timeoutMs: 10_000 });
  const store = another();
  await store.prepareVersion(version);
  const client = new MongoClient(server.url);
  const db = client.db('chat_read');
  const of = <T extends { _id: string }>(name: string) => db.collection<T & Record<string, unknown>>(name);
  type Doc = { _id: string };
  const message = (channel: ChannelId, seq: number): string =>
    `${team}/${channel}/${String(seq).padStart(16, '0')}`;
  const set = (name: string, _id: string, $set: object) =>
    of<Doc>(name).updateOne({ _id } as never, { $set } as never);
  const wrong: Readonly<Record<Wrong, () => Promise<unknown>>> = {
    lost: () =>
      of('message').deleteMany({ _id: { $gte: message(open, 10), $lte: message(open, 12) } } as never),
    changed: () => set('message', message(open, RANGE_COUNT + 7), { text: 'forged' }),
    'made up': async () => {
      const doc = await of('message').findOne({ _id: message(secret, 1) } as never);
      await of('message').insertOne({
        ...doc,
        _id: message(secret, 5_000),
        channelSeq: 5_000,
        countedSeq: 5_000,
        seq: 5,
        text: 'made up',
      } as never);
    },
    head: () =>
      of('channel').updateOne(
        { _id: `${team}/${open}` } as never,
        { $inc: { 'head.countedSeq': 2 } } as never,
      ),
    role: () => set('channel_member', `${team}/${ben}/${open}`, { role: 'owner' }),
    ghost: () => set('channel_member', `${team}/${ben}/${secret}`, { removed: false }),
    mark: () => set('read_mark', `${team}/${ben}/${open}`, { upTo: 3 }),
    name: () => set('channel', `${team}/${secret}`, { 'info.name': 'other' }),
    team: () => of('team').deleteOne({ _id: otherTeam } as never),
    nobody: () =>
      of('team_member').insertOne({
        _id: `${team}/nobody`,
        teamId: team,
        userId: 'nobody',
        role: 'owner',
        removed: false,
        seq: 1,
        activeOf: `nobody/${team}`,
      } as never),
  };
  return {
    store,
    another,
    model: store.open(version).core!,
    spoil: (what) => wrong[what](),
    clear: async () => {
      for (const { name } of await db.listCollections().toArray()) await db.collection(name).deleteMany({});
    },
    close: async () => {
      await client.close();
      await store.close();
      await server.stop();
    },
  };
};

const checked = (report: DriftReport) => {
  if (report.kind !== 'checked') throw new Error(`not checked: ${report.reason}`);
  return report;
};
const brief = (report: DriftReport): readonly string[] =>
  checked(report)
    .drifts.map(
      ({ kind, what, key, range }) => `${kind} ${what} ${key}${range ? ` ${range.from}-${range.to}` : ''}`,
    )
    .sort();

const injected: readonly (readonly [Wrong, string])[] = [
  ['lost', `missing message ${open} 10-12`],
  ['changed', `differs message ${open} ${RANGE_COUNT + 7}-${RANGE_COUNT + 7}`],
  ['made up', `extra message ${secret} 5000-5000`],
  ['head', `differs head ${open}`],
  ['role', `differs membership ${ben}/${open}`],
  ['ghost', `differs membership ${ben}/${secret}`],
  ['mark', `differs mark ${ben}/${open}`],
  ['name', `differs channel ${secret}`],
  ['team', 'missing team '],
  ['nobody', 'extra membership nobody'],
];

describe.each([
  ['PostgreSQL', openPostgres],
  ['MongoDB', openMongo],
])('the drift of a read model in %s', (_, openStore) => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await openStore();
  }, 60_000);
  beforeEach(() => harness.clear());
  afterAll(() => harness.close());

  const scope = { partition };
  const depsOf = (events: readonly ReadEvent[]) => ({
    store: harness.store.openDrift(version),
    log: logOf(events),
  });
  const check = async (events: readonly ReadEvent[]): Promise<DriftReport> =>
    (await checkDrift(depsOf(events), scope, 'rows')).report;

  it('is none where nothing drifted, and every row was looked at', async () => {
    const { events } = chat();
    await applyAll(harness.model, events, [97]);
    const report = checked(await check(events));
    expect(report).toMatchObject({ driftCount: 0, drifts: [], upTo: events.length, epoch });
    expect(report.rows).toMatchObject({
      team: { expected: 2, found: 2 },
      membership: { expected: 8, found: 8 },
      channel: { expected: 3, found: 3 },
      head: { expected: 3, found: 3 },
      mark: { expected: 2, found: 2 },
      message: { expected: RANGE_COUNT + 71, found: RANGE_COUNT + 71 },
    });
  });

  it('is named exactly, whatever was done to it, put right, and then is none', async () => {
    const { events } = chat();
    await applyAll(harness.model, events, [97]);
    for (const [what, named] of injected) {
      await harness.spoil(what);
      expect(brief(await check(events)), what).toEqual([named]);
      const repaired = await repairDrift(depsOf(events), scope);
      expect(checked(repaired.after), what).toMatchObject({ driftCount: 0, drifts: [] });
      expect(repaired.foundCount, what).toBe(what === 'lost' ? 3 : 1);
    }
    for (const [what] of injected) await harness.spoil(what);
    expect(brief(await check(events))).toEqual(injected.map(([, named]) => named).sort());
    const all = await repairDrift(depsOf(events), scope);
    expect(checked(all.after)).toMatchObject({ driftCount: 0 });
    expect(all.members.map(({ userId }) => userId).sort()).toEqual(['nobody', ben].sort());
    expect(await askAll(harness.model)).toEqual(await askAll(createReferenceModel(events, epoch)));
    // A second repair finds nothing to do.
    expect(await repairDrift(depsOf(events), scope)).toMatchObject({ foundCount: 0, fixCount: 0 });
  }, 120_000);

  it('of one team is looked for and put right in that team only, and names and texts stay unsaid', async () => {
    const { events } = chat();
    await applyAll(harness.model, events);
    for (const what of ['team', 'name', 'changed'] as const) await harness.spoil(what);
    const { report } = await checkDrift(depsOf(events), { partition, teamId: team }, 'rows');
    expect(brief(report)).toEqual([injected[1]![1], injected[7]![1]].sort());
    expect(JSON.stringify(report)).not.toMatch(/forged|text \d|secret|other/);
    await repairDrift(depsOf(events), { partition, teamId: team });
    expect(brief(await check(events))).toEqual(['missing team ']);
  }, 60_000);

  it('by counts alone tells what is missing and too many, not what was changed', async () => {
    const { events } = chat();
    await applyAll(harness.model, events);
    for (const what of ['lost', 'changed', 'made up'] as const) await harness.spoil(what);
    const { report } = await checkDrift(depsOf(events), scope, 'counts');
    expect(brief(report)).toEqual([injected[0]![1], injected[2]![1]].sort());
  }, 60_000);

  it('is no matter of what comes meanwhile: no false alarm, and what is put right stays so', async () => {
    const builder = chat();
    await applyAll(harness.model, builder.events, [500]);
    const { events } = builder;
    let isOver = false;
    // A projector that has read heads before they were put right, and goes on all the time.
    const projecting = (async () => {
      for (let n = 0; !isOver; n += 1) {
        const from = events.length;
        builder.say(team, open, ann, `more ${n}`);
        builder.say(team, secret, ann, `more ${n}`);
        builder.mark(team, open, ben, 41 + n);
        if (n % 5 === 0) builder.join(team, secret, ben, 'member', 'private', 'secret');
        if (n % 5 === 3) builder.leave(team, secret, ben);
        const batch = batchOf(events, from, events.length);
        expect(await harness.model.applyBatch(batch)).toMatchObject({ kind: 'applied' });
      }
    })();
    try {
      for (let run = 0; run < 20; run += 1)
        expect(await check(events)).toMatchObject({ kind: 'checked', driftCount: 0 });
      for (let run = 0; run < 3; run += 1) {
        for (const what of ['head', 'lost', 'role'] as const) await harness.spoil(what);
        const { after } = await repairDrift(depsOf(events), scope);
        expect(checked(after).drifts).toEqual([]);
      }
    } finally {
      isOver = true;
      await projecting;
    }
    expect(checked(await check(events)).drifts).toEqual([]);
    expect(await askAll(harness.model)).toEqual(await askAll(createReferenceModel(events, epoch)));
  }, 120_000);

  it('is not gone on with by a projector that had read a head before it was put right', async () => {
    const builder = chat();
    const { events } = builder;
    await applyAll(harness.model, events);
    await harness.spoil('head');
    // Of another process, which remembers nothing yet, and reads the head that is wrong.
    const later = harness.another();
    const model = later.open(version).core!;
    const say = async (): Promise<void> => {
      builder.say(team, open, ann, 'more');
      const batch = batchOf(events, events.length - 1, events.length);
      expect(await model.applyBatch(batch)).toMatchObject({ kind: 'applied' });
    };
    try {
      await say();
      const bad = `${RANGE_COUNT + 51}-${RANGE_COUNT + 51}`;
      expect(brief(await check(events))).toEqual([`differs head ${open}`, `differs message ${open} ${bad}`]);
      await repairDrift(depsOf(events), scope);
      await say();
      await say();
      expect(checked(await check(events)).drifts).toEqual([]);
    } finally {
      await later.close();
    }
  }, 60_000);

  it('is not told where the log is another one than was applied', async () => {
    const { events } = chat();
    await applyAll(harness.model, events.slice(0, 50));
    const deps = depsOf(events);
    const other = { ...deps, log: { ...deps.log, digest: async () => 'another' } };
    expect((await checkDrift(other, scope, 'rows')).report).toMatchObject({ kind: 'unknown' });
    const newEpoch = { ...deps, log: { ...deps.log, epoch: async () => 'epoch-2' } };
    expect((await repairDrift(newEpoch, scope)).after).toMatchObject({ kind: 'unknown' });
    const none = await checkDrift(deps, { partition: 0 }, 'rows');
    expect(none.report).toEqual({
      kind: 'unknown',
      partition: 0,
      reason: 'nothing of the partition is applied yet',
    });
  });
});
