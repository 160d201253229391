import type { TeamId, UserId } from '@chat/contracts/ids';
import { createLogger } from '@chat/platform/log';
import { migrate } from '@chat/platform/postgres/migrate';
import { createPool } from '@chat/platform/postgres/pool';
import { newDatabase } from '@chat/testkit/servers/servers';
import { expect, it } from 'vitest';
import { channelOf, historyPartition, teams, users } from '../testing/arbitrary-history.ts';
import { batchOf } from '../testing/contract.ts';
import { HistoryBuilder } from '../testing/history-builder.ts';
import { readModelMigrations } from './migrations.ts';
import { createPostgresReadModel } from './postgres-read-model.ts';

const log = createLogger({ app: 'test', instance: 'read-model', level: 'silent' });
const team = teams[0] as TeamId;
const [ann] = users as [UserId];
const channel = channelOf(0, 0);
const schema = 'read';

it('messages that stand in the store beyond its checkpoint do not stop a batch, and are not doubled', async () => {
  const database = await newDatabase();
  await migrate({ url: database.url, migrations: readModelMigrations(schema), schema, log });
  const pool = createPool({ url: database.url, max: 2, name: 'apply-test', statementTimeoutMs: 10_000, log });
  try {
    const model = createPostgresReadModel({ pool, schema });
    const builder = new HistoryBuilder();
    builder.createTeam(team, ann, 'team');
    builder.createChannel(team, channel, 'public', 'open', [ann]);
    const begun = builder.events.length;
    for (const text of ['one', 'two', 'three']) builder.say(team, channel, ann, text);
    const { events } = builder;
    const read = async () => (await pool.query('SELECT * FROM read.message ORDER BY channel_seq')).rows;

    await model.applyBatch(batchOf(events, 0, begun));
    await model.applyBatch(batchOf(events, begun, events.length));
    const whole = await read();
    expect(whole.map(({ text }: { text: string }) => text)).toEqual(['one', 'two', 'three']);
    // A backup of the checkpoint and the heads that is older than the one of the messages, of which one is missing.
    await pool.query('UPDATE read.checkpoint SET seq = $1', [begun]);
    await pool.query('UPDATE read.channel SET last_channel_seq = 0, counted_seq = 0, head_seq = 0');
    await pool.query("DELETE FROM read.message WHERE text = 'two'");

    const restored = createPostgresReadModel({ pool, schema });
    const batch = batchOf(events, begun, events.length);
    expect(await restored.applyBatch(batch)).toMatchObject({ kind: 'applied' });
    expect(await read()).toEqual(whole);
    expect((await restored.checkpoint(historyPartition))?.seq).toBe(events.length);
  } finally {
    await pool.end();
    await database.drop();
  }
}, 30_000);
