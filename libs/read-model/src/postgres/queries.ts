/**
 * The reads as SQL. Each is one statement, hence one snapshot: the checkpoint (`asOf`), the right to read and
 * the rows belong together, so that nobody gets a row committed after their membership ended (I3).
 * Every access path is an indexed range; `team_id` leads each key.
 */

/** $1 partition, $2 team, $3 user: the state of the partition and the asker's team membership. One row always. */
const asker = (schema: string): string => `
  (SELECT 1) AS one
  LEFT JOIN ${schema}.checkpoint cp ON cp.p = $1
  LEFT JOIN ${schema}.team_member tm ON tm.team_id = $2 AND tm.user_id = $3 AND NOT tm.removed`;

/** As `asker`, with the channel $4 and the asker's membership in it. */
const askerInChannel = (schema: string): string => `${asker(schema)}
  LEFT JOIN ${schema}.channel_member cm
    ON cm.team_id = $2 AND cm.user_id = $3 AND cm.channel_id = $4 AND NOT cm.removed AND tm.user_id IS NOT NULL
  LEFT JOIN ${schema}.channel c ON c.team_id = $2 AND c.channel_id = $4 AND cm.user_id IS NOT NULL`;

const stamp = `cp.epoch, cp.seq::float8 AS as_of, tm.user_id IS NOT NULL AS in_team`;

/** $4: the least channel id, $5: how many; $6 is left out: the last of the page before, or null. */
export const channelsSql = (schema: string): string => `
SELECT ${stamp}, l.*
FROM ${asker(schema)}
LEFT JOIN LATERAL (
  SELECT c.channel_id::text, c.kind, c.name, m.role, c.last_channel_seq::float8 AS last_channel_seq,
    coalesce(r.up_to, 0)::float8 AS read_up_to,
    greatest(c.seq, c.head_seq, m.seq, r.seq)::float8 AS seq,
    CASE WHEN m.role IS NULL THEN 0 ELSE
      c.counted_seq
      - coalesce((SELECT x.counted_seq FROM ${schema}.message x
          WHERE x.team_id = $2 AND x.channel_id = c.channel_id AND x.channel_seq = f.after), 0)
      - (SELECT count(*) FROM ${schema}.message x
          WHERE x.team_id = $2 AND x.channel_id = c.channel_id AND x.actor = $3 AND x.channel_seq > f.after)
    END::float8 AS unread_count,
    CASE WHEN c.kind = 'direct' THEN
      (SELECT array_agg(o.user_id ORDER BY o.user_id COLLATE "C") FROM ${schema}.channel_member o
        WHERE o.team_id = $2 AND o.channel_id = c.channel_id AND NOT o.removed)
    END AS member_ids
  FROM (
    (SELECT channel_id FROM ${schema}.channel
      WHERE team_id = $2 AND kind = 'public' AND channel_id >= $4 AND channel_id IS DISTINCT FROM $6::uuid
      ORDER BY channel_id LIMIT $5)
    UNION
    (SELECT channel_id FROM ${schema}.channel_member
      WHERE team_id = $2 AND user_id = $3 AND NOT removed
        AND channel_id >= $4 AND channel_id IS DISTINCT FROM $6::uuid
      ORDER BY channel_id LIMIT $5)
    ORDER BY channel_id LIMIT $5
  ) AS mine
  JOIN ${schema}.channel c ON c.team_id = $2 AND c.channel_id = mine.channel_id
  LEFT JOIN ${schema}.channel_member m
    ON m.team_id = $2 AND m.user_id = $3 AND m.channel_id = c.channel_id AND NOT m.removed
  -- a mark from before a re-join is void, as it is for the writer
  LEFT JOIN ${schema}.read_mark r
    ON r.team_id = $2 AND r.user_id = $3 AND r.channel_id = c.channel_id AND r.seq > m.since_seq
  CROSS JOIN LATERAL (
    SELECT greatest(coalesce(r.up_to, 0), CASE WHEN c.kind = 'public' THEN 0 ELSE m.since_channel_seq END) AS after
  ) AS f
) AS l ON tm.user_id IS NOT NULL
ORDER BY l.channel_id COLLATE "C"`;

export const visibleChannelsSql = (schema: string): string => `
SELECT ${stamp}, l.*
FROM ${asker(schema)}
LEFT JOIN LATERAL (
  SELECT m.channel_id::text, CASE WHEN c.kind = 'public' THEN 0 ELSE m.since_channel_seq END::float8 AS visible_after
  FROM ${schema}.channel_member m
  JOIN ${schema}.channel c ON c.team_id = m.team_id AND c.channel_id = m.channel_id
  WHERE m.team_id = $2 AND m.user_id = $3 AND NOT m.removed
) AS l ON tm.user_id IS NOT NULL
ORDER BY l.channel_id COLLATE "C"`;

/** $5, $6: up to $6 messages below $5, newest first; $7, $8: up to $8 messages above $7, oldest first. */
export const messagesSql = (schema: string): string => {
  const columns = `m.channel_seq::float8 AS channel_seq, m.seq::float8 AS seq, m.message_id, m.actor,
      m.at::float8 AS at, m.text`;
  const visible = `m.team_id = $2 AND m.channel_id = $4
      AND m.channel_seq > CASE WHEN c.kind = 'public' THEN 0 ELSE cm.since_channel_seq END`;
  return `
SELECT ${stamp}, c.kind, c.last_channel_seq::float8 AS last_channel_seq,
  cm.since_channel_seq::float8 AS since_channel_seq, l.*
FROM ${askerInChannel(schema)}
LEFT JOIN LATERAL (
  (SELECT ${columns} FROM ${schema}.message m
    WHERE ${visible} AND m.channel_seq < $5 ORDER BY m.channel_seq DESC LIMIT $6)
  UNION ALL
  (SELECT ${columns} FROM ${schema}.message m
    WHERE ${visible} AND m.channel_seq > $7 ORDER BY m.channel_seq LIMIT $8)
) AS l ON c.channel_id IS NOT NULL
ORDER BY l.channel_seq`;
};

/** $5: only user ids greater than this, $6: how many. */
export const membersSql = (schema: string): string => `
SELECT ${stamp}, c.kind, l.*
FROM ${askerInChannel(schema)}
LEFT JOIN LATERAL (
  SELECT o.user_id, o.role FROM ${schema}.channel_member o
  WHERE o.team_id = $2 AND o.channel_id = c.channel_id AND NOT o.removed AND o.user_id COLLATE "C" > $5
  ORDER BY o.user_id COLLATE "C" LIMIT $6
) AS l ON c.channel_id IS NOT NULL
ORDER BY l.user_id COLLATE "C"`;

export const membershipSql = (schema: string): string => `
SELECT ${stamp}, tm.role,
  (SELECT json_agg(json_build_object('id', o.channel_id, 'sinceSeq', o.since_seq, 'role', o.role) ORDER BY o.channel_id)
   FROM ${schema}.channel_member o
   WHERE o.team_id = $2 AND o.user_id = $3 AND NOT o.removed AND tm.user_id IS NOT NULL) AS channels
FROM ${asker(schema)}`;

/** $1 user, $2: only team ids greater than this, $3: how many. */
export const teamsSql = (schema: string): string => `
SELECT tm.team_id AS id, t.name, tm.role
FROM (
  SELECT team_id, role FROM ${schema}.team_member
  WHERE user_id = $1 AND NOT removed AND team_id COLLATE "C" > $2
  ORDER BY team_id COLLATE "C" LIMIT $3
) AS tm
JOIN ${schema}.team t ON t.team_id = tm.team_id
ORDER BY tm.team_id COLLATE "C"`;

/** $1 partition, $2 after this seq, $3 at most: the first $3 of both tables, merged. */
export const changedMembersSql = (schema: string): string => `
SELECT team_id AS "teamId", user_id AS "userId", seq::float8 AS seq FROM (
  (SELECT seq, team_id, user_id FROM ${schema}.team_member WHERE p = $1 AND seq > $2 ORDER BY seq LIMIT $3)
  UNION
  (SELECT DISTINCT seq, team_id, user_id FROM ${schema}.channel_member
   WHERE p = $1 AND seq > $2 ORDER BY seq, team_id, user_id LIMIT $3)
) AS changed
ORDER BY seq LIMIT $3`;
