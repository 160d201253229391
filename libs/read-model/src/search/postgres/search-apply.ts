/**
 * Applying a batch. The usual one is a single statement (apply-at-once.ts); any other: one transaction, which begins by locking the
 * checkpoint row (as the core does, see ../../postgres/apply.ts). Under the lock the number of each team's messages is that of the
 * checkpoint, so a message has the same ordinal whoever applies it.
 *
 * Messages beyond the checkpoint are not in the store (they come and go with it), so they are inserted without a guard by `seq`.
 * Should one stand there all the same (a store put together from backups of different times), the batch is applied with the guards.
 */

import type pg from 'pg';
import type { TeamId } from '@chat/contracts/ids';
import { uniqueViolationOf } from '@chat/platform/postgres/sqlstate';
import { plainArray, tokenArray } from '../../postgres/array-literal.ts';
import { type BatchApplier, applyLocked } from '../../postgres/apply.ts';
import type { Client } from '../../postgres/upsert.ts';
import { type ApplyResult, type EventBatch, LogFault, type ReadEvent } from '../../port.ts';
import { type SearchTuning, bucketOf } from '../find.ts';
import {
  type SearchRow,
  type SearchRows,
  type Tokenised,
  inParts,
  searchRows,
  teamsOfMessages,
} from '../rows.ts';
import { messageTokens, seedOf } from '../tokens.ts';
import { KnownCounts, applyAtOnce, loadCounts } from './apply-at-once.ts';
import { rowColumns, rowValues, rowsSql } from './write-rows.ts';

/** Index entries written by one statement: a batch of long texts in many letters stays below any timeout. */
const TOKENS_MAX_COUNT = 100_000;
/** Far below it, as most texts have fewer tokens than units, and none has many times more. */
const AT_ONCE_UNITS_MAX_COUNT = TOKENS_MAX_COUNT / 4;

type Target = { readonly pool: pg.Pool; readonly schema: string; readonly tuning: SearchTuning };
/** `insert`: none of them is in the store; otherwise a unique index refuses, and the transaction is over. */
type Writes = 'insert' | 'upsert';

export const createSearchApplier = (target: Target): BatchApplier => {
  const knownByPartition = new Map<number, KnownCounts>();

  const tryAtOnce = async (batch: EventBatch): Promise<boolean> => {
    const { pool, schema, tuning } = target;
    const { partition, epoch, afterSeq, events } = batch;
    if (unitCount(events) > AT_ONCE_UNITS_MAX_COUNT) return false;
    let known = knownByPartition.get(partition);
    if (!known) knownByPartition.set(partition, (known = new KnownCounts()));
    const counts =
      known.find(epoch, afterSeq, teamsOfMessages(events)) ?? (await loadCounts(pool, schema, batch));
    const made = counts && rowsIfSound(events, counts);
    if (!made) return false;
    const rows = made.rows.map((row) => ({ ...row, tokens: tokensOf(row, tuning) }));
    if (!(await applyAtOnce(pool, schema, batch, rows, made.messageCounts))) return false;
    known.advance(batch, made.messageCounts);
    return true;
  };

  return async (batch) => {
    const { epoch, upTo: seq, digest } = batch;
    if (await tryAtOnce(batch)) return { kind: 'applied', checkpoint: { epoch, seq, digest } };
    try {
      return await applyInTransaction(target, batch, 'insert');
    } catch (error) {
      if (uniqueViolationOf(error) === undefined) throw error;
      return applyInTransaction(target, batch, 'upsert');
    }
  };
};

const unitCount = (events: readonly ReadEvent[]): number =>
  events.reduce((sum, { event }) => sum + (event.type === 'message.sent' ? event.data.text.length : 0), 0);

/** Undefined: the log is at fault, or the batch is of another epoch: looked at under the lock. */
const rowsIfSound = (
  events: readonly ReadEvent[],
  counts: ReadonlyMap<TeamId, number>,
): SearchRows | undefined => {
  try {
    return searchRows(events, counts);
  } catch (error) {
    if (error instanceof LogFault) return undefined;
    throw error;
  }
};

const tokensOf = (row: SearchRow, tuning: SearchTuning): number[] =>
  messageTokens(seedOf(row.teamId, bucketOf(row.ordinal, tuning)), row);

const applyInTransaction = (target: Target, batch: EventBatch, how: Writes): Promise<ApplyResult> =>
  applyLocked(target.pool, target.schema, batch, (client, fresh) =>
    writeMessages(client, target, fresh, how),
  );

const writeMessages = async (
  client: Client,
  { schema, tuning }: Target,
  events: readonly ReadEvent[],
  how: Writes,
): Promise<void> => {
  const teams = teamsOfMessages(events);
  if (teams.length === 0) return;
  const known = await client.query<{ teamId: TeamId; messageCount: number }>({
    name: `${schema}-message-counts`,
    text: `SELECT team_id AS "teamId", message_count::float8 AS "messageCount"
           FROM ${schema}.team WHERE team_id = ANY ($1::text[])`,
    values: [tokenArray(teams)],
  });
  const counts = new Map(known.rows.map(({ teamId, messageCount }) => [teamId, messageCount]));
  const { rows, messageCounts } = searchRows(events, counts);
  const parts = inParts(rows, (row) => tokensOf(row, tuning), TOKENS_MAX_COUNT);
  for (const part of parts) await writeRows(client, schema, part, how);
  await client.query({
    name: `${schema}-write-message-counts`,
    text: `INSERT INTO ${schema}.team AS t (team_id, message_count)
           SELECT * FROM unnest($1::text[], $2::bigint[])
           ON CONFLICT (team_id) DO UPDATE SET message_count = excluded.message_count
             WHERE t.message_count < excluded.message_count`,
    values: [tokenArray([...messageCounts.keys()]), plainArray([...messageCounts.values()])],
  });
};

const guards = `
ON CONFLICT (team_id, ordinal) DO UPDATE
  SET seq = excluded.seq, channel_id = excluded.channel_id, channel_seq = excluded.channel_seq,
    message_id = excluded.message_id, actor = excluded.actor, at = excluded.at, text = excluded.text,
    folded = excluded.folded, tokens = excluded.tokens
  WHERE t.seq < excluded.seq`;

const writeRows = async (
  client: Client,
  schema: string,
  rows: readonly Tokenised<SearchRow>[],
  how: Writes,
): Promise<void> => {
  await client.query({
    name: `${schema}-${how}`,
    text: `INSERT INTO ${schema}.message AS t (${rowColumns}) ${rowsSql(1)} ${how === 'upsert' ? guards : ''}`,
    values: [...rowValues(rows)],
  });
};
