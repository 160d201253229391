/** Reads of the write model's `event_log`: what the stream no longer holds, and what the log says it is. */

import type { TeamId } from '@chat/contracts/ids';
import type { Scope } from '@chat/contracts/subjects';
import type pg from 'pg';
import type { Guard } from '@chat/platform/resilience/guard';
import type { RawEvent } from './decode-event.ts';

export type EventLog = {
  /** Rows fromId ≤ id ≤ toId, ascending, at most `limitCount`. Ids are gapless: a missing first row is missing in the log. */
  read(partition: number, fromId: number, toId: number, limitCount: number): Promise<readonly RawEvent[]>;
  /** Of rows fromId ≤ id ≤ toId those of a team (and a scope), ascending, at most `limitCount`. */
  readOf(
    partition: number,
    fromId: number,
    toId: number,
    limitCount: number,
    only: { readonly teamId: TeamId; readonly scope?: Scope | undefined },
  ): Promise<readonly RawEvent[]>;
  /** The epoch that the writer goes by; undefined when the partition is unknown. */
  epoch(partition: number): Promise<string | undefined>;
};

type Row = { id: number; team_id: string; scope: string; payload: string };

const rawOf = (partition: number, row: Row): RawEvent => ({
  seq: row.id,
  // Of the partition that recorded it, which a stray team id need not name (as the relay does).
  subject: `evt.${partition}.${row.team_id}.${row.scope}`,
  data: Buffer.from(row.payload),
});

export const createEventLog = (pool: pg.Pool): EventLog => ({
  read: async (partition, fromId, toId, limitCount) => {
    const { rows } = await pool.query<Row>(
      `SELECT id::float8, team_id, scope, payload FROM event_log
       WHERE p = $1 AND id BETWEEN $2 AND $3 ORDER BY id LIMIT $4`,
      [partition, fromId, toId, limitCount],
    );
    return rows.map((row) => rawOf(partition, row));
  },
  readOf: async (partition, fromId, toId, limitCount, { teamId, scope }) => {
    const { rows } = await pool.query<Row>(
      `SELECT id::float8, team_id, scope, payload FROM event_log
       WHERE p = $1 AND id BETWEEN $2 AND $3 AND team_id = $5 AND ($6::text IS NULL OR scope = $6)
       ORDER BY id LIMIT $4`,
      [partition, fromId, toId, limitCount, teamId, scope],
    );
    return rows.map((row) => rawOf(partition, row));
  },
  epoch: async (partition) => {
    const { rows } = await pool.query<{ epoch: string }>(`SELECT epoch FROM partition WHERE p = $1`, [
      partition,
    ]);
    return rows[0]?.epoch;
  },
});

export const guardEventLog = (eventLog: EventLog, guard: Guard): EventLog => ({
  read: (...range) => guard.run(() => eventLog.read(...range)),
  readOf: (...range) => guard.run(() => eventLog.readOf(...range)),
  epoch: (partition) => guard.run(() => eventLog.epoch(partition)),
});
