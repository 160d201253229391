/** Tables of search, in a schema whose name is a parameter. See ../tokens.ts and ../find.ts for what `tokens` and `ordinal` are. */

import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import { checkedSchema } from '../../postgres/schema.ts';

const tables = (schema: string): string => `
CREATE TABLE ${schema}.checkpoint (
  p      smallint PRIMARY KEY,
  epoch  text NOT NULL,
  seq    bigint NOT NULL,
  digest text NOT NULL,
  at     timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 20);

CREATE TABLE ${schema}.team (
  team_id       text PRIMARY KEY,
  -- the ordinal of its newest message
  message_count bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE ${schema}.message (
  team_id     text NOT NULL,
  ordinal     bigint NOT NULL,
  seq         bigint NOT NULL,
  channel_id  uuid NOT NULL,
  channel_seq bigint NOT NULL,
  message_id  uuid NOT NULL,
  actor       text NOT NULL,
  at          bigint NOT NULL,
  text        text NOT NULL,
  -- null: folds to itself
  folded      text,
  tokens      int4[] NOT NULL,
  PRIMARY KEY (team_id, ordinal)
);
-- What waits in the pending list is read by every search: it is kept short.
CREATE INDEX message_tokens ON ${schema}.message USING gin (tokens) WITH (gin_pending_list_limit = 512);
`;

const up = async (db: Kysely<unknown>, schema: string): Promise<void> => {
  await sql.raw(`CREATE SCHEMA IF NOT EXISTS ${schema}`).execute(db);
  await sql.raw(tables(schema)).execute(db);
};

/** For `migrate` of @chat/platform, which is to be given the same schema for its own tables. */
export const searchMigrations = (schema: string): Record<string, Migration> => {
  checkedSchema(schema);
  return { '0001-search': { up: (db) => up(db, schema) } };
};
