import { createLogger } from '@chat/platform/log';
import { migrate } from '@chat/platform/postgres/migrate';
import { createPool } from '@chat/platform/postgres/pool';
import { newDatabase } from '@chat/testkit/servers/servers';
import type pg from 'pg';
import { expect, it } from 'vitest';
import { channelOf, historyPartition, teams, users } from '../../testing/arbitrary-history.ts';
import { batchOf } from '../../testing/contract.ts';
import { HistoryBuilder } from '../../testing/history-builder.ts';
import { type SearchHarness, describeSearch, findAll, requestOf } from '../../testing/search-contract.ts';
import { searchTuning } from '../find.ts';
import { createPostgresSearchModel } from './postgres-search.ts';
import { searchMigrations } from './search-schema.ts';

const log = createLogger({ app: 'test', instance: 'search', level: 'silent' });
const schema = 'chat_search_v2';

const open = async (): Promise<SearchHarness & { pool: pg.Pool }> => {
  const database = await newDatabase();
  await migrate({ url: database.url, migrations: searchMigrations(schema), schema, log });
  const pool = createPool({
    url: database.url,
    max: 6,
    name: 'search-test',
    statementTimeoutMs: 10_000,
    log,
  });
  return {
    pool,
    open: (tuning) => createPostgresSearchModel({ pool, schema, tuning }),
    clear: async () => {
      await pool.query(`TRUNCATE ${schema}.checkpoint, ${schema}.team, ${schema}.message`);
    },
    forget: async () => {
      await pool.query(`TRUNCATE ${schema}.checkpoint, ${schema}.team`);
    },
    close: async () => {
      await pool.end();
      await database.drop();
    },
  };
};

describeSearch('PostgreSQL', open);

it('walks indexes, whatever is asked for', async () => {
  const harness = await open();
  try {
    const model = harness.open({ ...searchTuning, bucketMessageCount: 1_000, recentCount: 100 });
    const [team, ann] = [teams[0]!, users[0]!];
    const builder = new HistoryBuilder();
    builder.createTeam(team, ann, 'team');
    for (const n of [0, 1]) builder.createChannel(team, channelOf(0, n), 'public', 'open', [ann]);
    // Long enough for a table that nobody would read as a whole.
    const filling = ' on and on'.repeat(100);
    for (let n = 0; n < 5_000; n += 1)
      builder.say(
        team,
        channelOf(0, n % 2),
        ann,
        `the message ${n} of ${n === 5 ? 'unicorns' : 'many'}${filling}`,
      );
    await model.applyBatch(batchOf(builder.events, 0, builder.events.length));
    await harness.pool.query(`ANALYZE ${schema}.message`);
    const asked: pg.QueryConfig[] = [];
    const query = harness.pool.query.bind(harness.pool);
    Object.assign(harness.pool, {
      query: (config: pg.QueryConfig) => {
        asked.push(config);
        return query(config);
      },
    });
    const channels = [0, 1].map((n) => ({ channelId: channelOf(0, n), visibleAfter: n }));
    for (const text of ['unicorns', 'message', 'nowhere', 'the many', '"of many"'])
      for (const filter of [{}, { actor: ann, beforeMs: 1_800_000_000_000 }])
        await findAll(model, requestOf(text, { channels, limitCount: 2_000, ...filter }));
    await model.checkpoint(historyPartition);
    expect(asked.length).toBeGreaterThan(30);
    for (const { text, values } of asked) {
      if (text.includes('.checkpoint')) continue;
      const { rows } = await query<{ 'QUERY PLAN': string }>({
        text: `EXPLAIN ${text}`,
        values: values ?? [],
      });
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).not.toContain('Seq Scan');
      expect(plan).toMatch(
        text.includes('MATERIALIZED') ? /Bitmap Index Scan on message_tokens/ : /message_pkey/,
      );
    }
  } finally {
    await harness.close();
  }
}, 60_000);
