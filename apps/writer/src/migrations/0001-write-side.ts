/**
 * The write side: partitions (lease and position in one row, ADR 2), the event log, decided commands, and the
 * state that `decide` needs. No foreign keys: the writer is the only writer, and each batch is one transaction.
 */

import { type Kysely, sql } from 'kysely';
import { leaseTickSql } from '@chat/platform/lease/lease-sql';
import { writerLease } from '../lease/writer-lease.ts';

const tables = sql`
CREATE TABLE partition (
  p            smallint PRIMARY KEY,
  owner        text,
  owner_epoch  bigint NOT NULL DEFAULT 0,
  lease_until  timestamptz NOT NULL DEFAULT '-infinity',
  -- position in CMD_<p>: the last command whose outcome is committed, and its Nats-Msg-Id
  cmd_seq      bigint NOT NULL DEFAULT 0,
  cmd_msg_id   text NOT NULL DEFAULT '',
  -- id of the next row of event_log
  next_id      bigint NOT NULL DEFAULT 1,
  epoch        text NOT NULL,
  -- why the partition takes no writes; set by the divergence check, cleared by the operator
  halted       text,
  -- how often the partition was opened at the same cmd_seq: a command that kills its writer shows here
  open_cmd_seq bigint NOT NULL DEFAULT -1,
  open_count   integer NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

CREATE TABLE writer_instance (
  id         text PRIMARY KEY,
  seen_until timestamptz NOT NULL
);

CREATE TABLE event_log (
  p          smallint NOT NULL,
  id         bigint NOT NULL,
  team_id    text NOT NULL,
  scope      text NOT NULL,
  type       text NOT NULL,
  version    smallint NOT NULL,
  command_id uuid NOT NULL,
  -- the complete frame element: exactly the bytes of EVT_<p> (hence text, never jsonb)
  payload    text NOT NULL,
  at         bigint NOT NULL,
  PRIMARY KEY (p, id)
) PARTITION BY LIST (p);

-- one row per decided command, rejected ones (code) as well: an id is spent for ever
CREATE TABLE command (
  team_id    text NOT NULL,
  command_id uuid NOT NULL,
  p          smallint NOT NULL,
  actor      text NOT NULL,
  hash       text NOT NULL,
  -- first event of the command
  event_id   bigint NOT NULL,
  -- its place in CMD_<p>; 0 when unknown (adopted from the stream)
  cmd_seq    bigint NOT NULL,
  code       text,
  PRIMARY KEY (team_id, command_id)
);

CREATE TABLE team (
  team_id text PRIMARY KEY,
  p       smallint NOT NULL,
  name    text NOT NULL
);
CREATE INDEX team_p ON team (p);

CREATE TABLE team_member (
  team_id text NOT NULL,
  user_id text NOT NULL,
  role    text NOT NULL,
  PRIMARY KEY (team_id, user_id)
);

CREATE TABLE channel (
  team_id          text NOT NULL,
  channel_id       uuid NOT NULL,
  kind             text NOT NULL,
  name             text,
  direct_key       text,
  last_channel_seq bigint NOT NULL,
  last_at          bigint NOT NULL,
  PRIMARY KEY (team_id, channel_id)
) WITH (fillfactor = 50);

CREATE TABLE channel_member (
  team_id    text NOT NULL,
  channel_id uuid NOT NULL,
  user_id    text NOT NULL,
  role       text NOT NULL,
  since_seq  bigint NOT NULL,
  read_up_to bigint NOT NULL,
  PRIMARY KEY (team_id, channel_id, user_id)
) WITH (fillfactor = 80);

-- attempts at a command that fails, counted before it is decoded
CREATE TABLE poison (
  p         smallint NOT NULL,
  cmd_seq   bigint NOT NULL,
  attempts  integer NOT NULL,
  reason    text NOT NULL,
  last_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (p, cmd_seq)
);
`;

const ensurePartitions = sql`
CREATE FUNCTION ensure_partitions(a_count integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('chat.ensure_partitions'));
  FOR n IN 0 .. a_count - 1 LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS event_log_%s PARTITION OF event_log FOR VALUES IN (%s)', n, n);
    INSERT INTO partition (p, epoch)
    VALUES (n, substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)) ON CONFLICT (p) DO NOTHING;
  END LOOP;
  RETURN (SELECT count(*) FROM partition);
END $$;
`;

const leaseTick = sql.raw(leaseTickSql(writerLease));

/**
 * One batch, one round trip, all or nothing. Order of the statements: fence first (CH001 names the partitions
 * that are not ours at the expected position), then the rows. A command id that is spent fails on
 * `command_pkey` (23505): nothing is written, the caller looks the outcomes up and decides again.
 */
const commitBatch = sql`
CREATE FUNCTION commit_batch(
  a_owner text, a_ttl_ms integer,
  a_p smallint[], a_owner_epoch bigint[], a_expected bigint[], a_next bigint[], a_cmd_seq bigint[], a_cmd_msg_id text[],
  e_p smallint[], e_id bigint[], e_team text[], e_scope text[], e_type text[], e_version smallint[],
  e_command uuid[], e_at bigint[], e_payloads text,
  c_p smallint[], c_team text[], c_command uuid[], c_actor text[], c_hash text[], c_event bigint[], c_seq bigint[], c_code text[],
  h_team text[], h_channel uuid[], h_seq bigint[], h_at bigint[],
  a_state jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_count integer; v_lost text;
BEGIN
  PERFORM 1 FROM partition t WHERE t.p = ANY (a_p) ORDER BY t.p FOR NO KEY UPDATE;
  UPDATE partition t SET next_id = u.next, cmd_seq = u.cmd_seq, cmd_msg_id = u.cmd_msg_id,
    lease_until = clock_timestamp() + a_ttl_ms * interval '1 millisecond'
  FROM unnest(a_p, a_owner_epoch, a_expected, a_next, a_cmd_seq, a_cmd_msg_id)
    AS u (p, owner_epoch, expected, next, cmd_seq, cmd_msg_id)
  WHERE t.p = u.p AND t.owner = a_owner AND t.owner_epoch = u.owner_epoch AND t.next_id = u.expected
    AND t.halted IS NULL;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  IF v_count <> cardinality(a_p) THEN
    SELECT string_agg(u.p::text, ',') INTO v_lost
    FROM unnest(a_p, a_owner_epoch, a_next) AS u (p, owner_epoch, next)
    WHERE NOT EXISTS (SELECT 1 FROM partition t WHERE t.p = u.p AND t.owner = a_owner
      AND t.owner_epoch = u.owner_epoch AND t.next_id = u.next AND t.halted IS NULL);
    RAISE EXCEPTION 'partition not owned at the expected position' USING ERRCODE = 'CH001', DETAIL = v_lost;
  END IF;
  INSERT INTO command (p, team_id, command_id, actor, hash, event_id, cmd_seq, code)
  SELECT * FROM unnest(c_p, c_team, c_command, c_actor, c_hash, c_event, c_seq, c_code);
  INSERT INTO event_log (p, id, team_id, scope, type, version, command_id, at, payload)
  SELECT * FROM unnest(e_p, e_id, e_team, e_scope, e_type, e_version, e_command, e_at,
    string_to_array(e_payloads, E'\n'));
  -- before the heads: a channel made in this batch may already have messages
  IF a_state IS NOT NULL THEN PERFORM apply_state(a_state); END IF;
  IF cardinality(h_team) > 0 THEN
    UPDATE channel c SET last_channel_seq = u.seq, last_at = u.at
    FROM unnest(h_team, h_channel, h_seq, h_at) AS u (team_id, channel_id, seq, at)
    WHERE c.team_id = u.team_id AND c.channel_id = u.channel_id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> cardinality(h_team) THEN
      RAISE EXCEPTION 'a channel of the batch has no row' USING ERRCODE = 'CH002';
    END IF;
  END IF;
END $$;
`;

/** Rare changes: final rows of what a batch touched (`put…`), and keys that are gone (`drop…`). */
const applyState = sql`
CREATE FUNCTION apply_state(a_state jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO team (team_id, p, name)
  SELECT r.team_id, r.p, r.name FROM jsonb_to_recordset(a_state -> 'putTeams') AS r (team_id text, p smallint, name text)
  ON CONFLICT (team_id) DO UPDATE SET name = excluded.name;
  INSERT INTO team_member (team_id, user_id, role)
  SELECT r.team_id, r.user_id, r.role
  FROM jsonb_to_recordset(a_state -> 'putTeamMembers') AS r (team_id text, user_id text, role text)
  ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role;
  DELETE FROM team_member m
  USING jsonb_to_recordset(a_state -> 'dropTeamMembers') AS r (team_id text, user_id text)
  WHERE m.team_id = r.team_id AND m.user_id = r.user_id;
  INSERT INTO channel (team_id, channel_id, kind, name, direct_key, last_channel_seq, last_at)
  SELECT r.team_id, r.channel_id, r.kind, r.name, r.direct_key, r.last_channel_seq, r.last_at
  FROM jsonb_to_recordset(a_state -> 'putChannels') AS r (team_id text, channel_id uuid, kind text, name text,
    direct_key text, last_channel_seq bigint, last_at bigint)
  ON CONFLICT (team_id, channel_id) DO UPDATE SET direct_key = excluded.direct_key,
    last_channel_seq = excluded.last_channel_seq, last_at = excluded.last_at;
  INSERT INTO channel_member (team_id, channel_id, user_id, role, since_seq, read_up_to)
  SELECT r.team_id, r.channel_id, r.user_id, r.role, r.since_seq, r.read_up_to
  FROM jsonb_to_recordset(a_state -> 'putMembers') AS r (team_id text, channel_id uuid, user_id text, role text,
    since_seq bigint, read_up_to bigint)
  ON CONFLICT (team_id, channel_id, user_id) DO UPDATE SET role = excluded.role,
    since_seq = excluded.since_seq, read_up_to = excluded.read_up_to;
  DELETE FROM channel_member m
  USING jsonb_to_recordset(a_state -> 'dropMembers') AS r (team_id text, channel_id uuid, user_id text)
  WHERE m.team_id = r.team_id AND m.channel_id = r.channel_id AND m.user_id = r.user_id;
END $$;
`;

/** A write state read whole: one row a team, its parts as JSON arrays. */
const loadTeams = sql`
CREATE FUNCTION load_teams(a_team text[])
RETURNS TABLE (team_id text, name text, members json, channels json, channel_members json) LANGUAGE sql STABLE AS $$
  SELECT t.team_id, t.name,
    (SELECT json_agg(json_build_array(m.user_id, m.role)) FROM team_member m WHERE m.team_id = t.team_id),
    (SELECT json_agg(json_build_array(c.channel_id, c.kind, c.name, c.direct_key, c.last_channel_seq, c.last_at))
     FROM channel c WHERE c.team_id = t.team_id),
    (SELECT json_agg(json_build_array(m.channel_id, m.user_id, m.role, m.since_seq, m.read_up_to))
     FROM channel_member m WHERE m.team_id = t.team_id)
  FROM team t WHERE t.team_id = ANY (a_team);
$$;
`;

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const step of [tables, ensurePartitions, leaseTick, applyState, commitBatch, loadTeams]) {
    await step.execute(db);
  }
};
