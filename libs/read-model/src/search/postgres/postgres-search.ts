/** Search in PostgreSQL: a table of messages, and a GIN index of int4 tokens, each for (team, gram, bucket of 16,384 messages). */

import type { ChannelId, MessageId, UserId } from '@chat/contracts/ids';
import { partitionOf } from '@chat/contracts/ids';
import type pg from 'pg';
import { plainArray } from '../../postgres/array-literal.ts';
import { checkedSchema } from '../../postgres/schema.ts';
import type { Checkpoint } from '../../port.ts';
import {
  type OrdinalMessage,
  type SearchStore,
  type SearchTuning,
  bucketOf,
  find,
  searchTuning,
} from '../find.ts';
import type { SearchModel, SearchRequest } from '../port.ts';
import { actorToken, channelToken, gramTokens, seedOf } from '../tokens.ts';
import { adoptEpoch } from '../../postgres/apply.ts';
import { createSearchApplier } from './search-apply.ts';

export type PostgresSearchDeps = {
  /** Owned by the caller, who ends it. */
  readonly pool: pg.Pool;
  readonly schema: string;
  /** For tests. */
  readonly tuning?: SearchTuning;
};

export const createPostgresSearchModel = ({
  pool,
  schema,
  tuning = searchTuning,
}: PostgresSearchDeps): SearchModel => {
  checkedSchema(schema);
  const store: SearchStore = {
    position: async ({ teamId }) => {
      const { rows } = await pool.query<{ epoch: string; asOf: number; lastOrdinal: number }>({
        name: `${schema}-position`,
        text: `SELECT cp.epoch, cp.seq::float8 AS "asOf", coalesce(t.message_count, 0)::float8 AS "lastOrdinal"
               FROM ${schema}.checkpoint cp LEFT JOIN ${schema}.team t ON t.team_id = $2 WHERE cp.p = $1`,
        values: [partitionOf(teamId), teamId],
      });
      return rows[0];
    },
    within: async (request, window, limitCount) => {
      const firstBucket = bucketOf(window.above + 1, tuning);
      const buckets = Array.from(
        { length: bucketOf(window.upTo, tuning) - firstBucket + 1 },
        (_, n) => firstBucket + n,
      );
      const isRecent = window.kind === 'recent';
      // Not prepared by name: the index is chosen by the very tokens that are asked for.
      const { rows } = await pool.query<OrdinalRow>({
        text: isRecent ? recentSql(schema, request) : indexedSql(schema, request, buckets.length),
        values: [
          ...[request.teamId, window.above, window.upTo, limitCount, request.asOf],
          ...[
            plainArray(request.channels.map(({ channelId }) => channelId)),
            plainArray(request.channels.map(({ visibleAfter }) => visibleAfter)),
          ],
          ...filtersOf(request).map(({ value }) => value),
          ...(isRecent ? [] : buckets.map((bucket) => plainArray(tokensOf(request, bucket)))),
        ],
      });
      return rows.map(messageOf);
    },
  };
  return {
    checkpoint: async (partition) => {
      const { rows } = await pool.query<Checkpoint>({
        name: `${schema}-get-checkpoint`,
        text: `SELECT epoch, seq::float8, digest FROM ${schema}.checkpoint WHERE p = $1`,
        values: [partition],
      });
      return rows[0];
    },
    applyBatch: createSearchApplier({ pool, schema, tuning }),
    adoptEpoch: (partition, from, epoch) => adoptEpoch(pool, schema, partition, from, epoch),
    find: (request) => find(store, request, tuning),
  };
};

type OrdinalRow = {
  ordinal: number;
  seq: number;
  channel_id: ChannelId;
  channel_seq: number;
  message_id: MessageId;
  actor: UserId;
  at: number;
  text: string;
};

const messageOf = (row: OrdinalRow): OrdinalMessage => ({
  ordinal: row.ordinal,
  id: row.message_id,
  channelId: row.channel_id,
  channelSeq: row.channel_seq,
  seq: row.seq,
  actor: row.actor,
  at: row.at,
  text: row.text,
});

/** All that a match of this bucket has in the index. */
const tokensOf = ({ teamId, grams, channels, actor }: SearchRequest, bucket: number): number[] => {
  const seed = seedOf(teamId, bucket);
  const [only] = channels;
  return [
    ...gramTokens(seed, grams),
    ...(only && channels.length === 1 ? [channelToken(seed, only.channelId)] : []),
    ...(actor === undefined ? [] : [actorToken(seed, actor)]),
  ];
};

type Filter = { readonly sql: (place: string) => string; readonly value: string | number };

const filtersOf = ({ needles, actor, beforeMs, afterMs }: SearchRequest): Filter[] => [
  ...needles.map((value) => ({
    sql: (place: string) => `strpos(coalesce(m.folded, m.text), ${place}::text) > 0`,
    value,
  })),
  ...(actor === undefined ? [] : [{ sql: (place: string) => `m.actor = ${place}::text`, value: actor }]),
  ...(beforeMs === undefined ? [] : [{ sql: (place: string) => `m.at < ${place}::bigint`, value: beforeMs }]),
  ...(afterMs === undefined ? [] : [{ sql: (place: string) => `m.at >= ${place}::bigint`, value: afterMs }]),
];

/** $1 team, $2 and $3 window, $4 limit, $5 the core's asOf, $6 and $7 channels and where they become visible, then the filters. */
const FIXED_COUNT = 7;

const inWindow = (alias: string): string =>
  `${alias}.team_id = $1 AND ${alias}.ordinal > $2::bigint AND ${alias}.ordinal <= $3::bigint`;

const visibleMatches = (schema: string, request: SearchRequest): string => `
  FROM ${schema}.message m
  JOIN unnest($6::uuid[], $7::bigint[]) AS v (channel_id, visible_after)
    ON v.channel_id = m.channel_id AND m.channel_seq > v.visible_after
  WHERE m.seq <= $5::bigint
    ${filtersOf(request)
      .map(({ sql }, index) => `AND ${sql(`$${FIXED_COUNT + 1 + index}`)}`)
      .join('\n    ')}`;

const columns = `m.ordinal::float8 AS ordinal, m.seq::float8 AS seq, m.channel_id, m.channel_seq::float8 AS channel_seq,
  m.message_id, m.actor, m.at::float8 AS at, m.text`;

/** A short range of the primary key, from its end. */
const recentSql = (schema: string, request: SearchRequest): string => `
SELECT ${columns} ${visibleMatches(schema, request)} AND ${inWindow('m')}
ORDER BY m.ordinal DESC LIMIT $4`;

/**
 * The matches by way of the token index first, by themselves and without their texts: left to itself the planner may walk the
 * whole window along the primary key, because it believes that the limit ends it soon.
 */
const indexedSql = (schema: string, request: SearchRequest, bucketCount: number): string => {
  const first = FIXED_COUNT + 1 + filtersOf(request).length;
  const arms = Array.from({ length: bucketCount }, (_, n) => `m.tokens @> $${first + n}::int4[]`);
  return `
WITH match AS MATERIALIZED (
  SELECT m.team_id, m.ordinal ${visibleMatches(schema, request)} AND (${arms.join(' OR ')})
), newest AS (
  SELECT c.ordinal FROM match c WHERE ${inWindow('c')} ORDER BY c.ordinal DESC LIMIT $4
)
SELECT ${columns} FROM newest n JOIN ${schema}.message m ON m.team_id = $1 AND m.ordinal = n.ordinal
ORDER BY m.ordinal DESC`;
};
