/**
 * Applying a batch: one transaction, which begins by locking the checkpoint row (as the core does, see ../../postgres/apply.ts). Under
 * the lock the number of each team's messages is that of the checkpoint, so a message has the same ordinal whoever applies it.
 */

import type pg from 'pg';
import type { TeamId } from '@chat/contracts/ids';
import { plainArray, textArray, tokenArray } from '../../postgres/array-literal.ts';
import { inTransaction, lockCheckpoint } from '../../postgres/apply.ts';
import type { Client } from '../../postgres/upsert.ts';
import type { ApplyResult, Checkpoint, EventBatch, ReadEvent } from '../../port.ts';
import { type SearchTuning, bucketOf } from '../find.ts';
import { type SearchRow, type Tokenised, inParts, searchRows, teamsOfMessages } from '../rows.ts';
import { messageTokens, seedOf } from '../tokens.ts';

/** Index entries written by one statement: a batch of long texts in many letters stays below any timeout. */
const TOKENS_MAX_COUNT = 100_000;

type Target = { readonly pool: pg.Pool; readonly schema: string; readonly tuning: SearchTuning };

export const applySearchBatch = (target: Target, batch: EventBatch): Promise<ApplyResult> =>
  inTransaction(target.pool, async (client) => {
    const { schema } = target;
    const held = await lockCheckpoint(client, schema, batch);
    const refuse = (value: ApplyResult) => ({ commit: false, value });
    if (held.epoch !== batch.epoch) return refuse({ kind: 'epoch_differs', checkpoint: held });
    if (held.seq < batch.afterSeq) return refuse({ kind: 'gap', seq: held.seq });
    if (held.seq >= batch.upTo) return refuse({ kind: 'applied', checkpoint: held });
    await writeMessages(
      client,
      target,
      batch.events.filter(({ event }) => event.seq > held.seq),
    );
    const checkpoint: Checkpoint = { epoch: batch.epoch, seq: batch.upTo, digest: batch.digest };
    await client.query({
      name: `${schema}-checkpoint`,
      text: `UPDATE ${schema}.checkpoint SET seq = $2, digest = $3, at = clock_timestamp() WHERE p = $1`,
      values: [batch.partition, checkpoint.seq, checkpoint.digest],
    });
    return { commit: true, value: { kind: 'applied', checkpoint } };
  });

const writeMessages = async (
  client: Client,
  { schema, tuning }: Target,
  events: readonly ReadEvent[],
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
  const tokensOf = (row: SearchRow) => messageTokens(seedOf(row.teamId, bucketOf(row.ordinal, tuning)), row);
  for (const part of inParts(rows, tokensOf, TOKENS_MAX_COUNT)) await insert(client, schema, part);
  await client.query({
    name: `${schema}-write-message-counts`,
    text: `INSERT INTO ${schema}.team AS t (team_id, message_count)
           SELECT * FROM unnest($1::text[], $2::bigint[])
           ON CONFLICT (team_id) DO UPDATE SET message_count = excluded.message_count
             WHERE t.message_count < excluded.message_count`,
    values: [tokenArray([...messageCounts.keys()]), plainArray([...messageCounts.values()])],
  });
};

/** Tokens come as one text a row: arrays of arrays would all have to be of one length. */
const insert = async (
  client: Client,
  schema: string,
  rows: readonly Tokenised<SearchRow>[],
): Promise<void> => {
  await client.query({
    name: `${schema}-insert`,
    text: `INSERT INTO ${schema}.message AS t
             (team_id, ordinal, seq, channel_id, channel_seq, message_id, actor, at, text, folded, tokens)
           SELECT u.team_id, u.ordinal, u.seq, u.channel_id, u.channel_seq, u.message_id, u.actor, u.at, u.text, u.folded,
             u.tokens::int4[]
           FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::uuid[], $7::text[], $8::bigint[],
             $9::text[], $10::text[], $11::text[])
             AS u (team_id, ordinal, seq, channel_id, channel_seq, message_id, actor, at, text, folded, tokens)
           ON CONFLICT (team_id, ordinal) DO UPDATE
             SET seq = excluded.seq, channel_id = excluded.channel_id, channel_seq = excluded.channel_seq,
               message_id = excluded.message_id, actor = excluded.actor, at = excluded.at, text = excluded.text,
               folded = excluded.folded, tokens = excluded.tokens
             WHERE t.seq < excluded.seq`,
    values: [
      tokenArray(rows.map((row) => row.teamId)),
      plainArray(rows.map((row) => row.ordinal)),
      plainArray(rows.map((row) => row.seq)),
      plainArray(rows.map((row) => row.channelId)),
      plainArray(rows.map((row) => row.channelSeq)),
      plainArray(rows.map((row) => row.id)),
      tokenArray(rows.map((row) => row.actor)),
      plainArray(rows.map((row) => row.at)),
      textArray(rows.map((row) => row.text)),
      textArray(rows.map((row) => (row.folded === row.text ? undefined : row.folded))),
      tokenArray(rows.map((row) => `{${row.tokens.join(',')}}`)),
    ],
  });
};
