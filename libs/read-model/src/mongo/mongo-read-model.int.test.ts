import { Fault } from '@chat/platform/faults';
import type { TeamId, UserId } from '@chat/contracts/ids';
import { isStopped } from '@chat/testkit/servers/process-state';
import fc from 'fast-check';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { arbitraryHistory, channelOf, historyPartition, teams, users } from '../testing/arbitrary-history.ts';
import {
  type ReadModelHarness,
  applyAll,
  askAll,
  batchOf,
  describeReadModel,
  whole,
} from '../testing/contract.ts';
import { HistoryBuilder } from '../testing/history-builder.ts';
import { createReferenceModel } from '../testing/reference-model.ts';
import { writeEvents } from './apply.ts';
import { createMongoClient } from './client.ts';
import { collectionsOf, databaseOf, prepareMongoReadModel } from './collections.ts';
import { createMongoReadModel } from './mongo-read-model.ts';
import { createTransactions } from './transactions.ts';
import { type TestMongo, newDatabaseName, recordCommands, stagesOf, testMongo } from './testing.ts';

const TIMEOUT_MS = 10_000;

let server: TestMongo;
beforeAll(async () => {
  server = await testMongo();
}, 60_000);
afterAll(() => server.stop());

type Harness = ReadModelHarness & {
  readonly client: MongoClient;
  readonly database: string;
};

const open = async (prepare = true): Promise<Harness> => {
  const client = createMongoClient({
    url: server.url,
    maxCount: 6,
    name: 'read-model-test',
    timeoutMs: TIMEOUT_MS,
  });
  const database = newDatabaseName();
  if (prepare) await prepareMongoReadModel(client, database);
  return {
    client,
    database,
    model: createMongoReadModel({ client, database, timeoutMs: TIMEOUT_MS }),
    clear: async () => {
      for (const collection of Object.values(collectionsOf(databaseOf(client, database)))) {
        await (collection as { deleteMany: (filter: object) => Promise<unknown> }).deleteMany({});
      }
    },
    close: async () => {
      await client.db(database).dropDatabase();
      await client.close();
    },
  };
};

describeReadModel('MongoDB', () => open());

const team = teams[0] as TeamId;
const [ann, ben] = users as [UserId, UserId];

describe('the documents in MongoDB', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await open();
  });
  beforeEach(() => harness.clear());
  afterAll(() => harness.close());

  it('are guarded by seq: events written again below the checkpoint change nothing', async () => {
    const property = fc.asyncProperty(arbitraryHistory, fc.nat(1000), fc.nat(1000), async (events, a, b) => {
      await harness.clear();
      await applyAll(harness.model, events, [11]);
      const before = await askAll(harness.model);
      const from = a % events.length;
      const again = events.slice(from, from + 1 + (b % (events.length - from)));
      const collections = collectionsOf(databaseOf(harness.client, harness.database));
      await createTransactions(harness.client, collections, TIMEOUT_MS).run(historyPartition, (session) =>
        writeEvents(session, collections, historyPartition, again),
      );
      expect(await askAll(harness.model)).toEqual(before);
    });
    await fc.assert(property, { numRuns: 8 });
  }, 120_000);

  it('answer in full what does not fit into one answer of the server', async () => {
    const builder = new HistoryBuilder();
    builder.createTeam(team, ann, 'team');
    builder.createChannel(team, channelOf(0, 0), 'public', 'open', [ann]);
    for (let n = 0; n < 1_200; n += 1) {
      const user = `u${n}` as UserId;
      builder.addTeamMember(team, user, 'member');
      builder.join(team, channelOf(0, 0), user, 'member', 'public', 'open');
    }
    await applyAll(harness.model, builder.events, [1_000]);
    // The largest page of the api, and more than the server sends at once.
    const page = { limitCount: 1_150 };
    const channel = channelOf(0, 0);
    const reference = createReferenceModel(builder.events, 'epoch-1').members(team, channel, ann, page);
    const found = await harness.model.members(team, channel, ann, page);
    expect(found).toMatchObject({ kind: 'found', hasMore: true });
    expect(found.kind === 'found' && found.members.length).toBe(1_150);
    expect(found).toEqual(reference);
  }, 60_000);

  it('are made in a store that nobody prepared only as far as reading finds nothing', async () => {
    const bare = await open(false);
    try {
      expect(await bare.model.checkpoint(historyPartition)).toBeUndefined();
      expect(await bare.model.channels(team, ann, whole)).toEqual({ kind: 'team_not_found' });
      expect(await bare.model.teamsOf(ann, whole)).toEqual({ teams: [], hasMore: false });
    } finally {
      await bare.close();
    }
  });

  it('are not held up by the transaction that a dead client left open', async () => {
    const builder = new HistoryBuilder();
    builder.createTeam(team, ann, 'team');
    const batch = batchOf(builder.events, 0, builder.events.length);
    const collections = collectionsOf(databaseOf(harness.client, harness.database));
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let entered = (): void => {};
    const hasEntered = new Promise<void>((resolve) => (entered = resolve));
    const dead = createTransactions(harness.client, collections, TIMEOUT_MS);
    const holding = dead.run(historyPartition, async (session) => {
      const filter = { _id: historyPartition };
      await collections.checkpoint.updateOne(filter, { $inc: { turn: 1 } }, { session, upsert: true });
      entered();
      await held;
      await session.abortTransaction();
    });
    await hasEntered;
    // Well within the minute after which the server would end it.
    expect(await harness.model.applyBatch(batch)).toMatchObject({ kind: 'applied' });
    release();
    await holding;
  }, 30_000);

  it('can be prepared again, by two at once', async () => {
    const prepare = () => prepareMongoReadModel(harness.client, harness.database);
    await Promise.all([prepare(), prepare()]);
  });
});

describe('every query and write of the port', () => {
  it('walks an index: no collection scan, no sort in memory', async () => {
    const harness = await open();
    const client = new MongoClient(server.url, { monitorCommands: true });
    try {
      const commands = recordCommands(client);
      const model = createMongoReadModel({
        client,
        database: harness.database,
        timeoutMs: TIMEOUT_MS,
      });
      const builder = new HistoryBuilder();
      builder.createTeam(team, ann, 'team');
      builder.addTeamMember(team, ben, 'member');
      builder.createChannel(team, channelOf(0, 0), 'public', 'open', [ann, ben]);
      builder.createChannel(team, channelOf(0, 1), 'private', 'secret', [ann, ben]);
      builder.createChannel(team, channelOf(0, 2), 'direct', undefined, [ann, ben]);
      for (let n = 0; n < 30; n += 1) builder.say(team, channelOf(0, n % 3), n % 2 === 0 ? ann : ben, 'text');
      builder.mark(team, channelOf(0, 0), ben, 2);
      builder.mark(team, channelOf(0, 1), ben, 3);
      builder.leave(team, channelOf(0, 0), ben);
      await applyAll(model, builder.events, [9]);
      await askAll(model);
      const length = builder.events.length;
      builder.removeTeamMember(team, ben);
      await model.applyBatch(batchOf(builder.events, length, builder.events.length));
      await model.changedMembers(historyPartition, 0, 10);
      const held = await model.checkpoint(historyPartition);
      if (held) expect(await model.adoptEpoch(historyPartition, held, 'epoch-2')).toBe(true);

      const asked = [...commands.values()].map((command) => Object.values(command)[0] as string);
      expect(new Set(asked)).toEqual(
        new Set(Object.keys(collectionsOf(databaseOf(client, harness.database))).map(snake)),
      );
      expect(commands.size).toBeGreaterThan(25);
      for (const command of commands.values()) {
        const stages = await stagesOf(client, harness.database, command);
        const what = JSON.stringify(command);
        expect(stages.has('IXSCAN') || stages.has('IDHACK'), `${what}: ${[...stages].join()}`).toBe(true);
        expect(stages, what).not.toContain('COLLSCAN');
        expect(stages, what).not.toContain('SORT');
      }
      // The check itself sees a scan and a sort where there is one.
      const scan = { find: 'message', filter: { text: 'text' }, sort: { at: 1 } };
      expect([...(await stagesOf(client, harness.database, scan))]).toEqual(
        expect.arrayContaining(['COLLSCAN', 'SORT']),
      );
    } finally {
      await client.close();
      await harness.close();
    }
  }, 60_000);
});

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

it('a store that does not answer is trouble that passes, within the time it was given', async () => {
  const client = createMongoClient({
    url: 'mongodb://127.0.0.1:9/?replicaSet=rs0',
    maxCount: 1,
    name: 'test',
    timeoutMs: 500,
  });
  try {
    const model = createMongoReadModel({ client, timeoutMs: 500 });
    await expect(model.channels(team, ann, whole)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(model.applyBatch(batchOf([], 0, 1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  } finally {
    await client.close();
  }
});

it('a server that stands still is trouble that passes, and answers again after it', async () => {
  const { own } = server;
  if (!own) return;
  const harness = await open();
  const client = createMongoClient({ url: server.url, maxCount: 2, name: 'test', timeoutMs: 300 });
  const model = createMongoReadModel({ client, database: harness.database, timeoutMs: 300 });
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  const batch = batchOf(builder.events, 0, builder.events.length);
  try {
    expect(await model.channels(team, ann, whole)).toEqual({ kind: 'team_not_found' });
    own.pause();
    await vi.waitFor(() => expect(isStopped(own.pid)).toBe(true), 10_000);
    const [asked, applied] = await Promise.allSettled([
      model.channels(team, ann, whole),
      model.applyBatch(batch),
    ]);
    own.resume();
    expect(asked).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
    expect(applied).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
    // Whether the batch that was cut off came through or not: once more is right.
    await vi.waitFor(
      async () => expect(await model.applyBatch(batch)).toMatchObject({ kind: 'applied' }),
      10_000,
    );
    expect(await model.channels(team, ann, whole)).toMatchObject({ kind: 'found', channels: [] });
  } finally {
    own.resume();
    await client.close();
    await harness.close();
  }
}, 60_000);

it('a server that comes up after the first question is found by the next', async () => {
  const { own } = server;
  if (!own) return;
  const client = createMongoClient({ url: server.url, maxCount: 2, name: 'test', timeoutMs: 500 });
  try {
    const model = createMongoReadModel({ client, timeoutMs: 500 });
    await own.stop();
    await expect(model.channels(team, ann, whole)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await own.start();
    const answer = async () =>
      expect(await model.channels(team, ann, whole)).toEqual({ kind: 'team_not_found' });
    await vi.waitFor(answer, 10_000);
  } finally {
    await own.start();
    await client.close();
  }
}, 60_000);

it('a fault of the store is told without what was to be written', async () => {
  const harness = await open();
  try {
    await harness.client.db(harness.database).command({
      collMod: 'message',
      validator: { text: { $ne: 'hidden text' } },
    });
    const builder = new HistoryBuilder();
    builder.createTeam(team, ann, 'team');
    builder.createChannel(team, channelOf(0, 0), 'public', 'open', [ann]);
    builder.say(team, channelOf(0, 0), ann, 'hidden text');
    const error: unknown = await harness.model
      .applyBatch(batchOf(builder.events, 0, builder.events.length))
      .catch((fault: unknown) => fault);
    expect(error).toBeInstanceOf(Fault);
    expect(error).toMatchObject({ code: 'READ_STORE_FAULT' });
    expect((error as Fault).cause).toBeUndefined();
    expect(`${(error as Fault).stack} ${JSON.stringify(error)}`).not.toContain('hidden text');
    expect(await harness.model.checkpoint(historyPartition)).toBeUndefined();
  } finally {
    await harness.close();
  }
});
