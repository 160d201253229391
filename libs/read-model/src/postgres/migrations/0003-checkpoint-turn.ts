/**
 * `turn`: raised by whoever writes rows of a partition without moving its checkpoint (a repair), so that a projector
 * which remembers heads of channels as of that checkpoint reads them again.
 */

import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>, schema: string): Promise<void> => {
  await sql.raw(`ALTER TABLE ${schema}.checkpoint ADD COLUMN turn bigint NOT NULL DEFAULT 0`).execute(db);
};
