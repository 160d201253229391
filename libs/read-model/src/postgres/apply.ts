/**
 * Applying a batch: one transaction, which begins by locking the checkpoint row. Whoever comes second (another
 * projector, or a retry after a lost commit answer) finds the checkpoint moved and drops what is applied already.
 */

import type pg from 'pg';
import { type ChannelHead, type ChannelKey, type Changes, foldBatch, headsNeeded } from '../fold.ts';
import { plainArray, textArray, tokenArray } from './array-literal.ts';
import type { ApplyResult, Checkpoint, EventBatch, ReadEvent } from '../port.ts';

type Client = Pick<pg.ClientBase, 'query'>;
type CheckpointRow = { epoch: string; seq: number; digest: string };

/**
 * `fn` in a transaction. On any error the connection is rolled back, or dropped when not even that works.
 * It does not wait for the disk: a crash of the server may undo the newest batches, but each together with its
 * checkpoint, and the log gives them again.
 */
export const inTransaction = async <T>(
  pool: pg.Pool,
  fn: (client: Client) => Promise<{ readonly commit: boolean; readonly value: T }>,
): Promise<T> => {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN; SET LOCAL synchronous_commit TO off');
    const { commit, value } = await fn(client);
    await client.query(commit ? 'COMMIT' : 'ROLLBACK');
    return value;
  } catch (error) {
    await client.query('ROLLBACK').catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.release(broken);
  }
};

export const applyBatch = (pool: pg.Pool, schema: string, batch: EventBatch): Promise<ApplyResult> =>
  inTransaction(pool, async (client) => {
    const held = await lockCheckpoint(client, schema, batch);
    const refuse = (value: ApplyResult) => ({ commit: false, value });
    if (held.epoch !== batch.epoch) return refuse({ kind: 'epoch_differs', checkpoint: held });
    if (held.seq < batch.afterSeq) return refuse({ kind: 'gap', seq: held.seq });
    if (held.seq >= batch.upTo) return refuse({ kind: 'applied', checkpoint: held });
    const fresh =
      held.seq === batch.afterSeq ? batch.events : batch.events.filter(({ event }) => event.seq > held.seq);
    await writeEvents(client, schema, batch.partition, fresh);
    const checkpoint: Checkpoint = { epoch: batch.epoch, seq: batch.upTo, digest: batch.digest };
    await client.query({
      name: `${schema}-checkpoint`,
      text: `UPDATE ${schema}.checkpoint SET seq = $2, digest = $3, at = clock_timestamp() WHERE p = $1`,
      values: [batch.partition, checkpoint.seq, checkpoint.digest],
    });
    return { commit: true, value: { kind: 'applied', checkpoint } };
  });

/** Writes the rows of events that follow the checkpoint; the caller has it locked. Exported for the tests of the guards. */
export const writeEvents = async (
  client: Client,
  schema: string,
  partition: number,
  events: readonly ReadEvent[],
): Promise<void> => {
  const heads = await loadHeads(client, schema, headsNeeded(events));
  await writeChanges(client, schema, partition, foldBatch(events, heads));
};

const lockCheckpoint = async (
  client: Client,
  schema: string,
  { partition, epoch }: EventBatch,
): Promise<CheckpointRow> => {
  const select = {
    name: `${schema}-lock`,
    text: `SELECT epoch, seq::float8, digest FROM ${schema}.checkpoint WHERE p = $1 FOR UPDATE`,
    values: [partition],
  };
  const found = (await client.query<CheckpointRow>(select)).rows[0];
  if (found) return found;
  // The first batch of a partition. Rolled back with the rest when it is refused, so that no row says seq 0.
  await client.query(
    `INSERT INTO ${schema}.checkpoint (p, epoch, seq, digest) VALUES ($1, $2, 0, '') ON CONFLICT (p) DO NOTHING`,
    [partition, epoch],
  );
  const made = (await client.query<CheckpointRow>(select)).rows[0];
  if (!made) throw new Error(`the checkpoint of partition ${partition} vanished`);
  return made;
};

const loadHeads = async (
  client: Client,
  schema: string,
  keys: readonly ChannelKey[],
): Promise<readonly ChannelHead[]> => {
  if (keys.length === 0) return [];
  const { rows } = await client.query<ChannelHead>({
    name: `${schema}-heads`,
    text: `SELECT c.team_id AS "teamId", c.channel_id AS "channelId", c.last_channel_seq::float8 AS "lastChannelSeq",
             c.counted_seq::float8 AS "countedSeq", c.head_seq::float8 AS seq
           FROM unnest($1::text[], $2::uuid[]) AS k (team_id, channel_id)
           JOIN ${schema}.channel c ON c.team_id = k.team_id AND c.channel_id = k.channel_id`,
    values: [keys.map((key) => key.teamId), keys.map((key) => key.channelId)],
  });
  return rows;
};

type Column<R> =
  | readonly [
      name: string,
      type: 'bigint' | 'smallint' | 'boolean' | 'uuid',
      of: (row: R) => number | boolean | string,
    ]
  /** `token`: a text of our ids' alphabet. */
  | readonly [name: string, type: 'token', of: (row: R) => string]
  | readonly [name: string, type: 'text', of: (row: R) => string | undefined];

const sqlType = (type: Column<never>[1]): string => (type === 'token' ? 'text' : type);

const columnArray = <R>([, type, of]: Column<R>, rows: readonly R[]): string => {
  const values = rows.map(of);
  if (type === 'text') return textArray(values as (string | undefined)[]);
  return type === 'token' ? tokenArray(values as string[]) : plainArray(values as (number | string)[]);
};

/** An upsert of many rows whose every column is given, guarded by `seq`. Rows of one call have distinct keys. */
const upsert = async <R extends { readonly seq: number }>(
  client: Client,
  table: string,
  key: readonly string[],
  columns: readonly Column<R>[],
  rows: readonly R[],
): Promise<void> => {
  if (rows.length === 0) return;
  const names = columns.map(([name]) => name);
  const values = names.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  await client.query({
    name: `upsert-${table}`,
    text: `INSERT INTO ${table} AS t (${names.join(', ')})
           SELECT * FROM unnest(${columns.map(([, type], index) => `$${index + 1}::${sqlType(type)}[]`).join(', ')})
           ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${values.join(', ')} WHERE t.seq < excluded.seq`,
    values: columns.map((column) => columnArray(column, rows)),
  });
};

const writeChanges = async (
  client: Client,
  schema: string,
  partition: number,
  changes: Changes,
): Promise<void> => {
  await upsert(
    client,
    `${schema}.message`,
    ['team_id', 'channel_id', 'channel_seq'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['channel_id', 'uuid', (row) => row.channelId],
      ['channel_seq', 'bigint', (row) => row.channelSeq],
      ['counted_seq', 'bigint', (row) => row.countedSeq],
      ['seq', 'bigint', (row) => row.seq],
      ['message_id', 'uuid', (row) => row.id],
      ['actor', 'token', (row) => row.actor],
      ['at', 'bigint', (row) => row.at],
      ['text', 'text', (row) => row.text],
    ],
    changes.messages,
  );
  await upsert(
    client,
    `${schema}.team`,
    ['team_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['name', 'text', (row) => row.name],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.teams.values()],
  );
  await upsert(
    client,
    `${schema}.channel`,
    ['team_id', 'channel_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['channel_id', 'uuid', (row) => row.channelId],
      ['kind', 'token', (row) => row.kind],
      ['name', 'text', (row) => row.name],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.channels.values()],
  );
  await writeMembers(client, schema, partition, changes);
  await upsert(
    client,
    `${schema}.read_mark`,
    ['team_id', 'user_id', 'channel_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['user_id', 'token', (row) => row.userId],
      ['channel_id', 'uuid', (row) => row.channelId],
      ['up_to', 'bigint', (row) => row.upTo],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.readMarks.values()],
  );
  await writeHeads(client, schema, [...changes.heads.values()]);
};

/** Ends first, then begins: a membership that begins again in this batch has the greater seq and stays. */
const writeMembers = async (
  client: Client,
  schema: string,
  partition: number,
  changes: Changes,
): Promise<void> => {
  await upsert(
    client,
    `${schema}.team_member`,
    ['team_id', 'user_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['user_id', 'token', (row) => row.userId],
      ['p', 'smallint', () => partition],
      ['role', 'token', (row) => row.role],
      ['removed', 'boolean', (row) => row.removed],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.teamMembers.values()],
  );
  const leavers = [...changes.teamRemovals.values()];
  if (leavers.length > 0) {
    await client.query(
      `UPDATE ${schema}.channel_member t SET removed = true, seq = u.seq
       FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (team_id, user_id, seq)
       WHERE t.team_id = u.team_id AND t.user_id = u.user_id AND t.seq < u.seq AND NOT t.removed`,
      [leavers.map((row) => row.teamId), leavers.map((row) => row.userId), leavers.map((row) => row.seq)],
    );
  }
  const removals = [...changes.channelRemovals.values()];
  if (removals.length > 0) {
    await client.query(
      `UPDATE ${schema}.channel_member t SET removed = true, seq = u.seq
       FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[]) AS u (team_id, user_id, channel_id, seq)
       WHERE t.team_id = u.team_id AND t.user_id = u.user_id AND t.channel_id = u.channel_id AND t.seq < u.seq`,
      [
        removals.map((row) => row.teamId),
        removals.map((row) => row.userId),
        removals.map((row) => row.channelId),
        removals.map((row) => row.seq),
      ],
    );
  }
  await upsert(
    client,
    `${schema}.channel_member`,
    ['team_id', 'user_id', 'channel_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['user_id', 'token', (row) => row.userId],
      ['channel_id', 'uuid', (row) => row.channelId],
      ['p', 'smallint', () => partition],
      ['role', 'token', (row) => row.role],
      ['since_seq', 'bigint', (row) => row.sinceSeq],
      ['since_channel_seq', 'bigint', (row) => row.sinceChannelSeq],
      ['removed', 'boolean', (row) => row.removed],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.channelMembers.values()],
  );
};

const writeHeads = async (client: Client, schema: string, heads: readonly ChannelHead[]): Promise<void> => {
  if (heads.length === 0) return;
  await client.query({
    name: `${schema}-write-heads`,
    text: `UPDATE ${schema}.channel t
           SET last_channel_seq = u.last_channel_seq, counted_seq = u.counted_seq, head_seq = u.seq
           FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
             AS u (team_id, channel_id, last_channel_seq, counted_seq, seq)
           WHERE t.team_id = u.team_id AND t.channel_id = u.channel_id AND t.head_seq < u.seq`,
    values: [
      heads.map((head) => head.teamId),
      heads.map((head) => head.channelId),
      heads.map((head) => head.lastChannelSeq),
      heads.map((head) => head.countedSeq),
      heads.map((head) => head.seq),
    ],
  });
};
