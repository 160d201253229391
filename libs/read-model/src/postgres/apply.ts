/**
 * Applying a batch. The usual one is a single statement (apply-messages.ts); any other: one transaction, which begins by locking the checkpoint row. Whoever comes second (another
 * projector, or a retry after a lost commit answer) finds the checkpoint moved and drops what is applied already.
 */

import type pg from 'pg';
import type { EventType } from '@chat/contracts/events';
import { type ChannelHead, type ChannelKey, type Changes, foldBatch, headsNeeded } from '../fold.ts';
import { KnownHeads, applyMessages } from './apply-messages.ts';
import type { Client } from './upsert.ts';
import { writeChanges } from './write-changes.ts';
import { nothingToApply } from '../standing.ts';
import { type ApplyResult, type Checkpoint, type EventBatch, LogFault, type ReadEvent } from '../port.ts';

type CheckpointRow = { epoch: string; seq: number; digest: string };

/**
 * Between two statements of a batch. A process that is paused there holds the lock of its checkpoint; whoever takes its
 * partitions over comes after 4 s, and is not to wait for it.
 */
export const BATCH_IDLE_MAX_MS = 3_000;

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
    await client.query(
      `BEGIN; SET LOCAL synchronous_commit TO off; SET LOCAL idle_in_transaction_session_timeout TO ${BATCH_IDLE_MAX_MS}`,
    );
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

export type BatchApplier = (batch: EventBatch) => Promise<ApplyResult>;

export const createBatchApplier = (pool: pg.Pool, schema: string): BatchApplier => {
  const knownByPartition = new Map<number, KnownHeads>();

  return async (batch) => {
    const { partition, epoch, afterSeq, upTo, digest, events } = batch;
    let known = knownByPartition.get(partition);
    if (!known) knownByPartition.set(partition, (known = new KnownHeads()));
    const { heads, missing, turn: knownTurn } = known.find(epoch, afterSeq, headsNeeded(events));
    if (events.every(({ event }) => quickTypes.has(event.type))) {
      const loaded = await loadHeadsAndTurn(pool, schema, partition, missing);
      heads.push(...loaded.heads);
      const changes = foldQuickly(events, heads);
      // The store was put right between the two readings: the heads are read anew, under the lock.
      const isMixed = knownTurn !== undefined && loaded.turn !== undefined && knownTurn !== loaded.turn;
      if (changes && !isMixed) {
        const turn = await applyMessages(pool, schema, batch, changes, loaded.turn ?? knownTurn);
        if (turn !== undefined) {
          known.advance({ epoch, seq: upTo, turn }, afterSeq, [...heads, ...changes.heads.values()]);
          return { kind: 'applied', checkpoint: { epoch, seq: upTo, digest } };
        }
      }
    }
    return applyInTransaction(pool, schema, batch);
  };
};

/** What a batch of one statement may hold: none of them changes a membership or makes a channel. */
const quickTypes: ReadonlySet<EventType> = new Set(['message.sent', 'read.marked', 'command.rejected']);

/** Undefined: the heads were not those before the batch (someone else was faster), or the log is at fault: looked at under the lock. */
const foldQuickly = (events: readonly ReadEvent[], heads: readonly ChannelHead[]): Changes | undefined => {
  try {
    return foldBatch(events, heads);
  } catch (error) {
    if (error instanceof LogFault) return undefined;
    throw error;
  }
};

const applyInTransaction = (pool: pg.Pool, schema: string, batch: EventBatch): Promise<ApplyResult> =>
  applyLocked(pool, schema, batch, (client, fresh) => writeEvents(client, schema, batch.partition, fresh));

/** One transaction: locks the checkpoint, has what follows it written, moves it. Search keeps its checkpoints in the same way. */
export const applyLocked = (
  pool: pg.Pool,
  schema: string,
  batch: EventBatch,
  write: (client: Client, fresh: readonly ReadEvent[]) => Promise<void>,
): Promise<ApplyResult> =>
  inTransaction(pool, async (client) => {
    const held = await lockCheckpoint(client, schema, batch);
    const answer = nothingToApply(held, batch);
    if (answer) return { commit: false, value: answer };
    const fresh =
      held.seq === batch.afterSeq ? batch.events : batch.events.filter(({ event }) => event.seq > held.seq);
    await write(client, fresh);
    const checkpoint: Checkpoint = { epoch: batch.epoch, seq: batch.upTo, digest: batch.digest };
    await client.query({
      name: `${schema}-checkpoint`,
      text: `UPDATE ${schema}.checkpoint SET seq = $2, digest = $3, at = clock_timestamp() WHERE p = $1`,
      values: [batch.partition, checkpoint.seq, checkpoint.digest],
    });
    return { commit: true, value: { kind: 'applied', checkpoint } };
  });

/** False: the checkpoint is not at `from` any more. */
export const adoptEpoch = async (
  pool: pg.Pool,
  schema: string,
  partition: number,
  from: Checkpoint,
  epoch: string,
): Promise<boolean> => {
  const { rowCount } = await pool.query(
    `UPDATE ${schema}.checkpoint SET epoch = $4 WHERE p = $1 AND epoch = $2 AND seq = $3`,
    [partition, from.epoch, from.seq, epoch],
  );
  return rowCount === 1;
};

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

/** In one statement, hence as of one moment. Turn undefined: nothing was to be read, or the partition is new. */
const loadHeadsAndTurn = async (
  client: Client,
  schema: string,
  partition: number,
  keys: readonly ChannelKey[],
): Promise<{ readonly heads: readonly ChannelHead[]; readonly turn: number | undefined }> => {
  if (keys.length === 0) return { heads: [], turn: undefined };
  const { rows } = await client.query<ChannelHead & { turn: number; channelId: string | null }>({
    name: `${schema}-heads-and-turn`,
    text: `SELECT cp.turn::float8, h.* FROM ${schema}.checkpoint cp LEFT JOIN (${headsSql(schema)}) AS h ON true
           WHERE cp.p = $3`,
    values: [keys.map((key) => key.teamId), keys.map((key) => key.channelId), partition],
  });
  const heads = rows.flatMap(({ turn: _, ...head }) => (head.channelId === null ? [] : [head]));
  return { heads, turn: rows[0]?.turn };
};

const headsSql = (schema: string): string => `
SELECT c.team_id AS "teamId", c.channel_id AS "channelId", c.last_channel_seq::float8 AS "lastChannelSeq",
  c.counted_seq::float8 AS "countedSeq", c.head_seq::float8 AS seq
FROM unnest($1::text[], $2::uuid[]) AS k (team_id, channel_id)
JOIN ${schema}.channel c ON c.team_id = k.team_id AND c.channel_id = k.channel_id`;

const loadHeads = async (
  client: Client,
  schema: string,
  keys: readonly ChannelKey[],
): Promise<readonly ChannelHead[]> => {
  if (keys.length === 0) return [];
  const { rows } = await client.query<ChannelHead>({
    name: `${schema}-heads`,
    text: headsSql(schema),
    values: [keys.map((key) => key.teamId), keys.map((key) => key.channelId)],
  });
  return rows;
};
