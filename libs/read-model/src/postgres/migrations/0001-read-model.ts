/**
 * Tables of the read model. Each row carries the `seq` of the event that made it; no foreign keys and no
 * sequences, so that any row can be written again in any order. `p` stands where rows are found by partition.
 */

import { type Kysely, sql } from 'kysely';

const tables = (schema: string): string => `
CREATE TABLE ${schema}.checkpoint (
  p      smallint PRIMARY KEY,
  epoch  text NOT NULL,
  seq    bigint NOT NULL,
  -- of the payload of event seq: tells whether a log holds the same history
  digest text NOT NULL,
  at     timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 20);

CREATE TABLE ${schema}.team (
  team_id text PRIMARY KEY,
  name    text NOT NULL,
  seq     bigint NOT NULL
);

CREATE TABLE ${schema}.team_member (
  team_id text NOT NULL,
  user_id text NOT NULL,
  p       smallint NOT NULL,
  role    text NOT NULL,
  -- a tombstone keeps its seq, so that an older event cannot bring the member back
  removed boolean NOT NULL,
  seq     bigint NOT NULL,
  PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_member_user ON ${schema}.team_member (user_id) WHERE NOT removed;
CREATE INDEX team_member_changed ON ${schema}.team_member (p, seq);

CREATE TABLE ${schema}.channel (
  team_id          text NOT NULL,
  channel_id       uuid NOT NULL,
  kind             text NOT NULL,
  name             text,
  seq              bigint NOT NULL,
  -- the head, guarded by its own seq: newest message and how many messages count as unread up to it
  last_channel_seq bigint NOT NULL DEFAULT 0,
  counted_seq      bigint NOT NULL DEFAULT 0,
  head_seq         bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (team_id, channel_id)
) WITH (fillfactor = 50);
CREATE INDEX channel_public ON ${schema}.channel (team_id) WHERE kind = 'public';

CREATE TABLE ${schema}.channel_member (
  team_id           text NOT NULL,
  user_id           text NOT NULL,
  channel_id        uuid NOT NULL,
  p                 smallint NOT NULL,
  role              text NOT NULL,
  since_seq         bigint NOT NULL,
  since_channel_seq bigint NOT NULL,
  removed           boolean NOT NULL,
  seq               bigint NOT NULL,
  PRIMARY KEY (team_id, user_id, channel_id)
);
CREATE INDEX channel_member_channel ON ${schema}.channel_member (team_id, channel_id, user_id) WHERE NOT removed;
CREATE INDEX channel_member_changed ON ${schema}.channel_member (p, seq);

CREATE TABLE ${schema}.read_mark (
  team_id    text NOT NULL,
  user_id    text NOT NULL,
  channel_id uuid NOT NULL,
  up_to      bigint NOT NULL,
  seq        bigint NOT NULL,
  PRIMARY KEY (team_id, user_id, channel_id)
) WITH (fillfactor = 70);

CREATE TABLE ${schema}.message (
  team_id     text NOT NULL,
  channel_id  uuid NOT NULL,
  channel_seq bigint NOT NULL,
  counted_seq bigint NOT NULL,
  seq         bigint NOT NULL,
  message_id  uuid NOT NULL,
  actor       text NOT NULL,
  at          bigint NOT NULL,
  text        text NOT NULL,
  PRIMARY KEY (team_id, channel_id, channel_seq)
);
-- one's own messages after the read mark do not count as unread
CREATE INDEX message_own ON ${schema}.message (team_id, channel_id, actor, channel_seq);
`;

export const up = async (db: Kysely<unknown>, schema: string): Promise<void> => {
  await sql.raw(`CREATE SCHEMA IF NOT EXISTS ${schema}`).execute(db);
  await sql.raw(tables(schema)).execute(db);
};
