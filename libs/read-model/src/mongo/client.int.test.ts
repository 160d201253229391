import { createMetrics } from '@chat/platform/metrics';
import type { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createMongoClient } from './client.ts';
import { type TestMongo, newDatabaseName, testMongo } from './testing.ts';

const within = { timeout: 20_000, interval: 20 };
const common = { name: 'chat-test one', timeoutMs: 10_000 };

let mongo: TestMongo;
let client: MongoClient | undefined;
const databaseName = newDatabaseName();

beforeAll(async () => {
  mongo = await testMongo();
}, 120_000);
afterAll(async () => {
  await client?.db(databaseName).dropDatabase();
  await client?.close();
  await mongo.stop();
});

describe('the pool of a MongoDB client', () => {
  it('of no or more than 50 connections is refused', () => {
    for (const maxCount of [0, 51])
      expect(() => createMongoClient({ ...common, url: mongo.url, maxCount })).toThrow(RangeError);
  });

  it('says in metrics what is in use, what is idle and who waits', async () => {
    const metrics = createMetrics();
    client = createMongoClient({ ...common, url: mongo.url, maxCount: 2, metrics });
    const shown = async () => {
      const values: Record<string, number> = {};
      for (const line of (await metrics.registry.metrics()).split('\n')) {
        const match = /^chat_mongodb_pool_connections\{pool="chat-test",state="(\w+)"\} (\d+)$/.exec(line);
        if (match) values[match[1] ?? ''] = Number(match[2]);
      }
      return values;
    };
    const rows = client.db(databaseName).collection('rows');
    await rows.insertOne({ a: 1 });
    // Each keeps its connection until the server was told to stop.
    const slow = { $where: 'sleep(20000) || true' };
    const asked = [1, 2, 3].map((n) => rows.findOne(slow, { comment: `slow ${n}` }).catch(() => undefined));
    await vi.waitFor(async () => expect(await shown()).toEqual({ active: 2, idle: 0, waiting: 1 }), within);
    expect(await metrics.registry.metrics()).toContain(
      'chat_mongodb_pool_max_connections{pool="chat-test"} 2',
    );

    const stopper = createMongoClient({ ...common, url: mongo.url, maxCount: 1 });
    try {
      const admin = stopper.db('admin');
      await vi.waitFor(async () => {
        const { inprog } = await admin.command({ currentOp: 1, 'command.find': 'rows' });
        for (const { opid } of inprog as { opid: number }[]) await admin.command({ killOp: 1, op: opid });
        expect(await shown()).toMatchObject({ active: 0, waiting: 0 });
      }, within);
    } finally {
      await stopper.close();
    }
    await Promise.all(asked);
    expect((await shown()).idle).toBeGreaterThan(0);
  }, 60_000);
});
