/**
 * A fence that cannot tell which partitions it is about names all of them. Before, it did when each of them stood exactly
 * where the batch would have brought it (the same batch, in doubt after a lost connection, had come through after all):
 * the DETAIL was null, PostgreSQL raised 22004 instead of CH001, and a good command was taken for a poison one.
 *
 * The function is changed in place, so that its text stands in one file.
 */

import { type Kysely, sql } from 'kysely';

const before = 'DETAIL = v_lost;';
const after = `DETAIL = coalesce(v_lost, array_to_string(a_p, ','));`;

export const up = async (db: Kysely<unknown>): Promise<void> => {
  const { rows } = await sql<{ text: string }>`
    SELECT pg_get_functiondef('commit_batch'::regproc) AS text`.execute(db);
  const text = rows[0]?.text ?? '';
  if (!text.includes(before)) throw new Error('commit_batch is not the function that 0001 made');
  await sql.raw(text.replace(before, after)).execute(db);
};
