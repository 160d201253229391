/**
 * A poison row is of one command, not of a number: a command stream made anew gives the same numbers to others. A row
 * without a mark is of an earlier writer, which goes on as before while both run.
 */

import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql`ALTER TABLE poison ADD COLUMN cmd_mark text NOT NULL DEFAULT ''`.execute(db);
};
