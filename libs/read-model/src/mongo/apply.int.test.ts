import type { TeamId, UserId } from '@chat/contracts/ids';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { channelOf, historyPartition, teams, users } from '../testing/arbitrary-history.ts';
import { batchOf } from '../testing/contract.ts';
import { HistoryBuilder } from '../testing/history-builder.ts';
import { createMongoClient } from './client.ts';
import { type Collections, collectionsOf, databaseOf, prepareMongoReadModel } from './collections.ts';
import { createMongoReadModel } from './mongo-read-model.ts';
import { type TestMongo, newDatabaseName, testMongo } from './testing.ts';

const TIMEOUT_MS = 10_000;
const team = teams[0] as TeamId;
const [ann] = users as [UserId];
const channel = channelOf(0, 0);

let server: TestMongo;
beforeAll(async () => {
  server = await testMongo();
}, 60_000);
afterAll(() => server.stop());

it('messages that stand in the store beyond its checkpoint do not stop a batch, and are not doubled', async () => {
  const client = createMongoClient({
    url: server.url,
    maxCount: 2,
    name: 'apply-test',
    timeoutMs: TIMEOUT_MS,
  });
  const database = newDatabaseName();
  try {
    await prepareMongoReadModel(client, database);
    const collections: Collections = collectionsOf(databaseOf(client, database));
    const model = createMongoReadModel({ client, database, timeoutMs: TIMEOUT_MS });
    const builder = new HistoryBuilder();
    builder.createTeam(team, ann, 'team');
    builder.createChannel(team, channel, 'public', 'open', [ann]);
    const begun = builder.events.length;
    for (const text of ['one', 'two', 'three']) builder.say(team, channel, ann, text);
    const { events } = builder;
    const read = () => collections.message.find().sort({ _id: 1 }).toArray();

    await model.applyBatch(batchOf(events, 0, events.length));
    const whole = await read();
    expect(whole.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
    // A backup of the checkpoint and the heads that is older than the one of the messages, of which one is missing.
    await collections.checkpoint.updateOne({ _id: historyPartition }, { $set: { seq: begun } });
    await collections.channel.updateMany({}, { $unset: { head: true } });
    await collections.message.deleteOne({ text: 'two' });

    expect(await model.applyBatch(batchOf(events, begun, events.length))).toMatchObject({ kind: 'applied' });
    expect(await read()).toEqual(whole);
    expect((await model.checkpoint(historyPartition))?.seq).toBe(events.length);
  } finally {
    await client.db(database).dropDatabase();
    await client.close();
  }
}, 60_000);
