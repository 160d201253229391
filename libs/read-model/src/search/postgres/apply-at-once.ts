/**
 * The usual batch as one statement, hence one round trip and one transaction, as in the core (../../postgres/apply-messages.ts). It moves
 * the checkpoint only from exactly where the batch begins; all else in it hangs on that row. Where the checkpoint stands elsewhere, or
 * a row stands already, nothing is changed, and the batch is applied under the lock (search-apply.ts).
 *
 * How many messages each team has after event n is a function of the log: what is kept from the last batch is the store's as
 * long as its checkpoint is n of the same epoch. The statement checks just that.
 */

import type pg from 'pg';
import type { TeamId } from '@chat/contracts/ids';
import { uniqueViolationOf } from '@chat/platform/postgres/sqlstate';
import { plainArray, tokenArray } from '../../postgres/array-literal.ts';
import type { EventBatch } from '../../port.ts';
import { type SearchRow, type SearchRows, type Tokenised, teamsOfMessages } from '../rows.ts';
import { rowColumns, rowValues, rowsSql } from './write-rows.ts';

/** Teams remembered for a partition; when full all are forgotten, and read again as they are needed. */
const TEAMS_MAX_COUNT = 10_000;

/** Messages of one partition's teams as of a checkpoint. */
export class KnownCounts {
  #epoch = '';
  #seq = -1;
  readonly #byTeam = new Map<TeamId, number>();

  /** Undefined: not all of them are known as of (epoch, seq). */
  find(epoch: string, seq: number, teams: readonly TeamId[]): ReadonlyMap<TeamId, number> | undefined {
    if (epoch !== this.#epoch || seq !== this.#seq) return undefined;
    return teams.every((team) => this.#byTeam.has(team)) ? this.#byTeam : undefined;
  }

  /** The checkpoint moved; these are the teams that were in the batch. */
  advance({ epoch, afterSeq, upTo }: EventBatch, counts: ReadonlyMap<TeamId, number>): void {
    if (epoch !== this.#epoch || afterSeq !== this.#seq) this.#byTeam.clear();
    this.#epoch = epoch;
    this.#seq = upTo;
    for (const [team, count] of counts) {
      if (this.#byTeam.size >= TEAMS_MAX_COUNT) this.#byTeam.clear();
      this.#byTeam.set(team, count);
    }
  }
}

/** Of the batch's teams before it, read with the checkpoint as of one moment. Undefined: it is not where the batch begins. */
export const loadCounts = async (
  pool: pg.Pool,
  schema: string,
  { partition, epoch, afterSeq, events }: EventBatch,
): Promise<ReadonlyMap<TeamId, number> | undefined> => {
  const { rows } = await pool.query<{ teamId: TeamId | null; messageCount: number }>({
    name: `${schema}-counts-at`,
    text: `SELECT t.team_id AS "teamId", t.message_count::float8 AS "messageCount"
           FROM ${schema}.checkpoint cp LEFT JOIN ${schema}.team t ON t.team_id = ANY ($4::text[])
           WHERE cp.p = $1 AND cp.epoch = $2 AND cp.seq = $3`,
    values: [partition, epoch, afterSeq, tokenArray(teamsOfMessages(events))],
  });
  if (rows.length === 0) return undefined;
  return new Map(
    rows.flatMap(({ teamId, messageCount }) => (teamId === null ? [] : [[teamId, messageCount]])),
  );
};

const statement = (schema: string): string => `
WITH moved AS (
  UPDATE ${schema}.checkpoint SET seq = $4, digest = $5, at = clock_timestamp()
  WHERE p = $1 AND epoch = $2 AND seq = $3
  RETURNING set_config('synchronous_commit', 'off', true)
), counts AS (
  INSERT INTO ${schema}.team AS t (team_id, message_count)
  SELECT u.* FROM moved, unnest($6::text[], $7::bigint[]) AS u
  ON CONFLICT (team_id) DO UPDATE SET message_count = excluded.message_count
), messages AS (
  INSERT INTO ${schema}.message (${rowColumns})
  ${rowsSql(8, 'moved,')}
)
SELECT FROM moved`;

/** False: nothing was changed. */
export const applyAtOnce = async (
  pool: pg.Pool,
  schema: string,
  { partition, epoch, afterSeq, upTo, digest }: EventBatch,
  rows: readonly Tokenised<SearchRow>[],
  messageCounts: SearchRows['messageCounts'],
): Promise<boolean> => {
  try {
    const { rowCount } = await pool.query({
      name: `${schema}-apply`,
      text: statement(schema),
      values: [
        partition,
        epoch,
        afterSeq,
        upTo,
        digest,
        tokenArray([...messageCounts.keys()]),
        plainArray([...messageCounts.values()]),
        ...rowValues(rows),
      ],
    });
    return rowCount === 1;
  } catch (error) {
    if (uniqueViolationOf(error) === undefined) throw error;
    return false;
  }
};
