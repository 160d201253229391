import { createLogger } from '@chat/platform/log';
import { migrate } from '@chat/platform/postgres/migrate';
import { createPool } from '@chat/platform/postgres/pool';
import { newDatabase } from '@chat/testkit/servers/servers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arbitraryHistory, channelOf, historyPartition, teams } from '../testing/arbitrary-history.ts';
import { type ReadModelHarness, applyAll, askAll, describeReadModel } from '../testing/contract.ts';
import { createReferenceModel } from '../testing/reference-model.ts';
import { inTransaction, writeEvents } from './apply.ts';
import { readModelMigrations } from './migrations.ts';
import { createPostgresReadModel } from './postgres-read-model.ts';
import { channelsSql, membersSql, messagesSql, teamsSql } from './queries.ts';
import pg from 'pg';

const log = createLogger({ app: 'test', instance: 'read-model', level: 'silent' });
const tables = ['checkpoint', 'team', 'team_member', 'channel', 'channel_member', 'read_mark', 'message'];

const open = async (schema: string): Promise<ReadModelHarness & { pool: pg.Pool; url: string }> => {
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
    url: database.url,
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

describe('every list of the port in PostgreSQL', () => {
  const rowCount = 3_000;
  const limitCount = 20;
  const [team] = teams;
  const room = channelOf(0, 0);
  const uuid = (n: string) => `('00000000-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`;

  /** A team of 3,000 members and as many channels, public and private by turns; `u1` is in all, all are in `room`, the first channel. */
  const fill = async (pool: pg.Pool): Promise<void> => {
    const from = `FROM generate_series(0, ${rowCount - 1}) AS g`;
    const id = uuid(`${0xa000} + g`);
    const rows = [
      `checkpoint SELECT ${historyPartition}, 'epoch-1', 1, 'd'`,
      `team SELECT '${team}', 'name', 1`,
      `team SELECT 'team' || g, 'name', 1 ${from}`,
      `team_member SELECT '${team}', 'u' || g, ${historyPartition}, 'member', false, 1 ${from}`,
      `team_member SELECT 'team' || g, 'u1', ${historyPartition}, 'member', false, 1 ${from}`,
      `channel SELECT '${team}', ${id}, CASE g % 2 WHEN 0 THEN 'public' ELSE 'private' END, 'name', 1, 9, 9, 1 ${from}`,
      `channel_member SELECT '${team}', 'u1', ${id}, ${historyPartition}, 'member', 1, 0, false, 1 ${from}`,
      `channel_member SELECT '${team}', 'v' || g, '${room}', ${historyPartition}, 'member', 1, 0, false, 1 ${from}`,
      `read_mark SELECT '${team}', 'u1', ${id}, 1, 1 ${from}`,
      `message SELECT '${team}', ${id}, n, n, 1, ${uuid('n')}, 'u2', 1, 'text' ${from}, generate_series(1, 9) AS n`,
    ];
    for (const row of rows) await pool.query(`INSERT INTO read.${row}`);
    await pool.query('ANALYZE');
  };

  type Plan = Readonly<Record<string, unknown>> & { readonly Plans?: readonly Plan[] };
  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

  it('reads no more rows than a page has, from the beginning and from the middle, whatever plan is kept', async () => {
    const harness = await open('read');
    const client = new pg.Client({ connectionString: harness.url });
    try {
      await fill(harness.pool);
      await client.connect();
      const at = [historyPartition, team, 'u1'];
      const middle = channelOf(0, 0).replace('a000', 'a500');
      const least = '00000000-0000-0000-0000-000000000000';
      const max = Number.MAX_SAFE_INTEGER;
      const asked: readonly (readonly [sql: string, values: readonly unknown[], rowCount: number])[] = [
        [membersSql('read'), [...at, room, '', limitCount], limitCount],
        [membersSql('read'), [...at, room, 'v15', limitCount], limitCount],
        [channelsSql('read'), [...at, least, limitCount, null], limitCount],
        [channelsSql('read'), [...at, middle, limitCount, middle], limitCount],
        [teamsSql('read'), ['u1', '', limitCount], limitCount],
        [teamsSql('read'), ['u1', 'team15', limitCount], limitCount],
        [messagesSql('read'), [...at, room, max, limitCount, max, 0], 9],
        [messagesSql('read'), [...at, room, 0, 0, 4, limitCount], 5],
      ];
      for (const mode of ['force_custom_plan', 'force_generic_plan']) {
        await client.query(`SET plan_cache_mode = ${mode}`);
        for (const [n, [sql, values, foundCount]] of asked.entries()) {
          const literals = values.map((value) => (value === null ? 'NULL' : pg.escapeLiteral(String(value))));
          await client.query(`PREPARE q${n} AS ${sql}`);
          const explain = `EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE q${n}(${literals.join(', ')})`;
          const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(explain);
          await client.query(`DEALLOCATE q${n}`);
          const nodes = nodesOf(rows[0]!['QUERY PLAN'][0].Plan);
          for (const node of nodes) {
            const what = `${mode} ${values.join()}: ${JSON.stringify({ ...node, Plans: undefined })}`;
            const table = node['Relation Name'];
            if (table !== undefined && table !== 'checkpoint')
              expect(node['Node Type'], what).not.toBe('Seq Scan');
            // Of each loop: a page, or what belongs to one entry of it (nine messages).
            expect(node['Actual Rows'], what).toBeLessThanOrEqual(2 * limitCount);
            expect(node['Rows Removed by Filter'] ?? 0, what).toBeLessThanOrEqual(1);
          }
          const tables = nodes.filter((node) => node['Relation Name'] !== undefined);
          expect(tables.length).toBeGreaterThan(1);
          expect(nodes[0]!['Actual Rows'], sql).toBe(foundCount);
        }
      }
    } finally {
      await client.end();
      await harness.close();
    }
  }, 60_000);
});
