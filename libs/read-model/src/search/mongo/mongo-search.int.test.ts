import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createMongoClient } from '../../mongo/client.ts';
import { databaseOf } from '../../mongo/collections.ts';
import { type TestMongo, newDatabaseName, recordCommands, stagesOf, testMongo } from '../../mongo/testing.ts';
import { channelOf, historyPartition, teams, users } from '../../testing/arbitrary-history.ts';
import { applyAll } from '../../testing/contract.ts';
import { HistoryBuilder } from '../../testing/history-builder.ts';
import {
  type SearchHarness,
  describeSearch,
  findAll,
  requestOf,
  smallTuning,
} from '../../testing/search-contract.ts';
import { createMongoSearchModel } from './mongo-search.ts';
import { prepareMongoSearch, searchCollectionsOf } from './search-collections.ts';

const TIMEOUT_MS = 10_000;

let server: TestMongo;
beforeAll(async () => {
  server = await testMongo();
}, 60_000);
afterAll(() => server.stop());

const open = async (): Promise<SearchHarness & { database: string }> => {
  const client = createMongoClient({
    url: server.url,
    maxCount: 6,
    name: 'search-test',
    timeoutMs: TIMEOUT_MS,
  });
  const database = newDatabaseName();
  await prepareMongoSearch(client, database);
  return {
    database,
    open: (tuning) => createMongoSearchModel({ client, database, timeoutMs: TIMEOUT_MS, tuning }),
    clear: async () => {
      const { checkpoint, team, message } = searchCollectionsOf(databaseOf(client, database));
      await checkpoint.deleteMany({});
      await team.deleteMany({});
      await message.deleteMany({});
    },
    forget: async () => {
      const { checkpoint, team } = searchCollectionsOf(databaseOf(client, database));
      await checkpoint.deleteMany({});
      await team.deleteMany({});
    },
    close: async () => {
      await client.db(database).dropDatabase();
      await client.close();
    },
  };
};

describeSearch('MongoDB', open);

it('walks indexes, without a sort, whatever is asked for', async () => {
  const harness = await open();
  const client = new MongoClient(server.url, { monitorCommands: true });
  try {
    const commands = recordCommands(client);
    const model = createMongoSearchModel({
      client,
      database: harness.database,
      timeoutMs: TIMEOUT_MS,
      tuning: smallTuning,
    });
    const [team, ann] = [teams[0]!, users[0]!];
    const builder = new HistoryBuilder();
    builder.createTeam(team, ann, 'team');
    for (const n of [0, 1]) builder.createChannel(team, channelOf(0, n), 'public', 'open', [ann]);
    for (let n = 0; n < 200; n += 1)
      builder.say(team, channelOf(0, n % 2), ann, `the message ${n} of ${n === 5 ? 'unicorns' : 'many'}`);
    await applyAll(model, builder.events, [150]);
    const channels = [0, 1].map((n) => ({ channelId: channelOf(0, n), visibleAfter: n }));
    for (const text of ['unicorns', 'message', 'nowhere', 'the many'])
      for (const filter of [{}, { actor: ann, beforeMs: 1_800_000_000_000 }, { channels: channels.slice(1) }])
        await findAll(model, requestOf(text, { channels, limitCount: 20, ...filter }));
    const held = await model.checkpoint(historyPartition);
    if (held) expect(await model.adoptEpoch(historyPartition, held, 'epoch-2')).toBe(true);
    expect(commands.size).toBeGreaterThanOrEqual(12);
    for (const command of commands.values()) {
      const stages = await stagesOf(client, harness.database, command);
      const what = JSON.stringify(command);
      expect(stages.has('IXSCAN') || stages.has('IDHACK'), `${what}: ${[...stages].join()}`).toBe(true);
      expect(stages, what).not.toContain('COLLSCAN');
      expect(stages, what).not.toContain('SORT');
    }
  } finally {
    await client.close();
    await harness.close();
  }
}, 60_000);
