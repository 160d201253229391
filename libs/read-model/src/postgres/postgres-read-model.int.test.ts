import { createLogger } from '@chat/platform/log';
import { migrate } from '@chat/platform/postgres/migrate';
import { createPool } from '@chat/platform/postgres/pool';
import { newDatabase } from '@chat/testkit/servers/servers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arbitraryHistory, historyPartition } from '../testing/arbitrary-history.ts';
import { type ReadModelHarness, applyAll, askAll, describeReadModel } from '../testing/contract.ts';
import { createReferenceModel } from '../testing/reference-model.ts';
import { inTransaction, writeEvents } from './apply.ts';
import { readModelMigrations } from './migrations.ts';
import { createPostgresReadModel } from './postgres-read-model.ts';
import type pg from 'pg';

const log = createLogger({ app: 'test', instance: 'read-model', level: 'silent' });
const tables = ['checkpoint', 'team', 'team_member', 'channel', 'channel_member', 'read_mark', 'message'];

const open = async (schema: string): Promise<ReadModelHarness & { pool: pg.Pool }> => {
  const database = await newDatabase();
  await migrate({ url: database.url, migrations: readModelMigrations(schema), schema, log });
  const pool = createPool({
    url: database.url,
    max: 6,
    name: 'read-model-test',
    statementTimeoutMs: 10_000,
    log,
  });
  return {
    pool,
    model: createPostgresReadModel({ pool, schema }),
    clear: async () => {
      await pool.query(`TRUNCATE ${tables.map((table) => `${schema}.${table}`).join(', ')}`);
    },
    close: async () => {
      await pool.end();
      await database.drop();
    },
  };
};

describeReadModel('PostgreSQL', () => open('read'));

describe('the rows in PostgreSQL', () => {
  let harness: Awaited<ReturnType<typeof open>>;
  beforeAll(async () => {
    harness = await open('read_v2');
  });
  afterAll(() => harness.close());

  it('are guarded by seq: events written again below the checkpoint change nothing', async () => {
    const property = fc.asyncProperty(arbitraryHistory, fc.nat(1000), fc.nat(1000), async (events, a, b) => {
      await harness.clear();
      await applyAll(harness.model, events, [11]);
      const before = await askAll(harness.model);
      const from = a % events.length;
      const again = events.slice(from, from + 1 + (b % (events.length - from)));
      await inTransaction(harness.pool, async (client) => {
        await writeEvents(client, 'read_v2', historyPartition, again);
        return { commit: true, value: undefined };
      });
      expect(await askAll(harness.model)).toEqual(before);
    });
    await fc.assert(property, { numRuns: 8 });
  }, 120_000);

  it('are those of one, when two processes take turns and each remembers heads of channels', async () => {
    const property = fc.asyncProperty(
      arbitraryHistory,
      fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.boolean()), { minLength: 5 }),
      async (events, turns) => {
        await harness.clear();
        const models = [0, 1].map(() => createPostgresReadModel({ pool: harness.pool, schema: 'read_v2' }));
        for (let at = 0, turn = 0; at < events.length; turn += 1) {
          const [count, isFirst] = turns[turn % turns.length]!;
          const part = events.slice(at, at + count);
          const batch = {
            partition: historyPartition,
            epoch: 'epoch-1',
            afterSeq: at,
            upTo: at + part.length,
            events: part,
            digest: `digest-${at + part.length}`,
          };
          expect(await models[isFirst ? 0 : 1]!.applyBatch(batch)).toMatchObject({ kind: 'applied' });
          at += part.length;
        }
        expect(await askAll(harness.model)).toEqual(await askAll(createReferenceModel(events, 'epoch-1')));
      },
    );
    await fc.assert(property, { numRuns: 8 });
  }, 120_000);
});
