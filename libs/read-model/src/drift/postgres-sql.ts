/** The drift checker's reads of PostgreSQL. */

import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { ChannelKey, MessageRow } from '../fold.ts';
import { boundsOfRange } from './findings.ts';
import { RANGE_COUNT, type StateRow } from './port.ts';

type StateQuery = { readonly text: string; readonly toRow: (row: never) => StateRow };

type Team = { team_id: TeamId; name: string; seq: number };
type Member = { team_id: TeamId; user_id: UserId; role: Role; removed: boolean; seq: number; whole: boolean };
type Channel = {
  team_id: TeamId;
  channel_id: ChannelId;
  kind: ChannelKind;
  name: string | null;
  seq: number;
  last_channel_seq: number;
  counted_seq: number;
  head_seq: number;
};
type ChannelMember = Member & { channel_id: ChannelId; since_seq: number; since_channel_seq: number };
type Mark = { team_id: TeamId; user_id: UserId; channel_id: ChannelId; up_to: number; seq: number };

/** `where` names $1; `partition` is what column p must say. */
export const stateQueries = (schema: string, where: string, partition: number): readonly StateQuery[] => [
  {
    text: `SELECT team_id, name, seq::float8 FROM ${schema}.team WHERE ${where}`,
    toRow: ({ team_id: teamId, name, seq }: Team) => ({
      of: 'team',
      isWhole: true,
      row: { teamId, name, seq },
    }),
  },
  {
    text: `SELECT team_id, user_id, role, removed, seq::float8, p = ${partition} AS whole
           FROM ${schema}.team_member WHERE ${where}`,
    toRow: ({ team_id: teamId, user_id: userId, role, removed, seq, whole }: Member) => ({
      of: 'team_member',
      isWhole: whole,
      row: { teamId, userId, role, removed, seq },
    }),
  },
  {
    text: `SELECT team_id, channel_id::text, kind, name, seq::float8, last_channel_seq::float8, counted_seq::float8,
             head_seq::float8 FROM ${schema}.channel WHERE ${where}`,
    toRow: channelRow,
  },
  {
    text: `SELECT team_id, user_id, channel_id::text, role, since_seq::float8, since_channel_seq::float8, removed,
             seq::float8, p = ${partition} AS whole FROM ${schema}.channel_member WHERE ${where}`,
    toRow: channelMemberRow,
  },
  {
    text: `SELECT team_id, user_id, channel_id::text, up_to::float8, seq::float8
           FROM ${schema}.read_mark WHERE ${where}`,
    toRow: ({ team_id: teamId, user_id: userId, channel_id: channelId, up_to: upTo, seq }: Mark) => ({
      of: 'read_mark',
      isWhole: true,
      row: { teamId, userId, channelId, upTo, seq },
    }),
  },
];

const channelRow = (row: Channel): StateRow => {
  const { team_id: teamId, channel_id: channelId, kind, name, seq } = row;
  return {
    of: 'channel',
    isWhole: true,
    row: { teamId, channelId, kind, name: name ?? undefined, seq },
    head: {
      teamId,
      channelId,
      lastChannelSeq: row.last_channel_seq,
      countedSeq: row.counted_seq,
      seq: row.head_seq,
    },
  };
};

const channelMemberRow = (row: ChannelMember): StateRow => {
  const { team_id: teamId, user_id: userId, channel_id: channelId, role, removed, seq } = row;
  return {
    of: 'channel_member',
    isWhole: row.whole,
    row: {
      teamId,
      userId,
      channelId,
      role,
      sinceSeq: row.since_seq,
      sinceChannelSeq: row.since_channel_seq,
      removed,
      seq,
    },
  };
};

/** The same text as `messageDigest` hashes. */
const rowDigest = `md5(m.channel_seq || '|' || m.counted_seq || '|' || m.seq || '|' || m.message_id || '|' || m.actor
    || '|' || m.at || '|' || m.text)`;
/** Integer division: -1 for everything that is not positive. */
const rangeOfRow = `(greatest(m.channel_seq, 0) + ${RANGE_COUNT - 1}) / ${RANGE_COUNT} - 1`;

/** $1 teams, $2 channels, pairwise; $3 < channelSeq ≤ $4. */
export const rangesSql = (schema: string, withDigests: boolean): string => `
SELECT m.team_id, m.channel_id::text, (${rangeOfRow})::int AS range, count(*)::int AS count,
  ${withDigests ? `md5(string_agg(${rowDigest}, '' ORDER BY m.channel_seq))` : 'NULL'} AS digest
FROM unnest($1::text[], $2::uuid[]) AS k (team_id, channel_id)
JOIN ${schema}.message m ON m.team_id = k.team_id AND m.channel_id = k.channel_id
WHERE m.channel_seq > $3::bigint AND m.channel_seq <= $4::bigint
GROUP BY 1, 2, 3`;

/** $1: what the ids of a partition's teams begin with. */
export const storedTeamsSql = (schema: string): string => `
WITH RECURSIVE t AS (
  (SELECT team_id FROM ${schema}.message ORDER BY team_id LIMIT 1)
  UNION ALL
  SELECT (SELECT m.team_id FROM ${schema}.message m WHERE m.team_id > t.team_id ORDER BY m.team_id LIMIT 1)
  FROM t WHERE t.team_id IS NOT NULL
)
SELECT team_id FROM t WHERE left(team_id, 2) = $1`;

/** $1 teams. */
export const storedChannelsSql = (schema: string): string => `
SELECT k.team_id, c.channel_id::text FROM unnest($1::text[]) AS k (team_id), LATERAL (
  WITH RECURSIVE c AS (
    (SELECT m.channel_id FROM ${schema}.message m WHERE m.team_id = k.team_id ORDER BY m.channel_id LIMIT 1)
    UNION ALL
    SELECT (SELECT m.channel_id FROM ${schema}.message m
      WHERE m.team_id = k.team_id AND m.channel_id > c.channel_id ORDER BY m.channel_id LIMIT 1)
    FROM c WHERE c.channel_id IS NOT NULL
  )
  SELECT channel_id FROM c WHERE channel_id IS NOT NULL
) AS c`;

type Message = {
  channel_seq: number;
  counted_seq: number;
  seq: number;
  message_id: CommandId;
  actor: UserId;
  at: number;
  text: string;
};

/** Where a range lies in `channel_seq`; the one before the first holds all that is not positive. */
export const rangeBounds = (range: number): { readonly from: number; readonly to: number } => {
  const { from, to } = boundsOfRange(range);
  return range < 0 ? { from: -Number.MAX_SAFE_INTEGER, to: 0 } : { from, to };
};

export const messagesSql = (schema: string, key: ChannelKey, range: number) => {
  const { from, to } = rangeBounds(range);
  return {
    text: `SELECT channel_seq::float8, counted_seq::float8, seq::float8, message_id::text, actor, at::float8, text
           FROM ${schema}.message WHERE team_id = $1 AND channel_id = $2 AND channel_seq BETWEEN $3 AND $4
           ORDER BY channel_seq`,
    values: [key.teamId, key.channelId, from, to],
    toRow: (row: Message): MessageRow => ({
      teamId: key.teamId,
      channelId: key.channelId,
      channelSeq: row.channel_seq,
      countedSeq: row.counted_seq,
      seq: row.seq,
      id: row.message_id,
      actor: row.actor,
      at: row.at,
      text: row.text,
    }),
  };
};
