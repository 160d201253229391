/** Reading and marking the row of a partition: lease, position and next event number in one (ADR 2). */

import { FencedFault } from '@chat/platform/faults';
import type { CommandMark } from '../intake/command-mark.ts';
import type { Statement } from '../postgres/session.ts';
import type { RelayEvent } from '../relay/relay.ts';

export type Query = <Row>(statement: Statement) => Promise<Row[]>;

export type PartitionRow = {
  readonly p: number;
  readonly ownerEpoch: number;
  readonly epoch: string;
  readonly cmdSeq: number;
  /** Column `cmd_msg_id`. */
  readonly cmdMark: CommandMark;
  readonly nextId: number;
};

type RawRow = Record<'owner_epoch' | 'epoch' | 'cmd_seq' | 'cmd_msg_id' | 'next_id', string>;

const readText = `
SELECT owner_epoch, epoch, cmd_seq, cmd_msg_id, next_id FROM partition WHERE p = $1 AND owner = $2 AND owner_epoch = $3`;

/** Throws FencedFault when the lease is not (any longer) `owner`'s under `ownerEpoch`. */
export const readPartitionRow = async (
  query: Query,
  p: number,
  owner: string,
  ownerEpoch: number,
): Promise<PartitionRow> => {
  const [row] = await query<RawRow>({ text: readText, values: [p, owner, ownerEpoch] });
  if (!row) throw new FencedFault(`partition ${p} is not owned under epoch ${ownerEpoch}`);
  return {
    p,
    ownerEpoch,
    epoch: row.epoch,
    cmdSeq: Number(row.cmd_seq),
    cmdMark: row.cmd_msg_id,
    nextId: Number(row.next_id),
  };
};

const countText = `
UPDATE partition SET open_cmd_seq = cmd_seq,
  open_count = CASE WHEN NOT $3::boolean THEN 0 WHEN open_cmd_seq = cmd_seq THEN open_count + 1 ELSE 1 END
WHERE p = $1 AND owner_epoch = $2 RETURNING open_count`;

/**
 * How often commands were about to be taken at this very position, this time included; 0 when none wait. It is
 * counted last, so that outages of others while opening count for nothing: what remains is a command that ends its writer.
 */
export const countOpening = async (query: Query, row: PartitionRow, isWaiting: boolean): Promise<number> => {
  const [counted] = await query<{ open_count: number }>({
    text: countText,
    values: [row.p, row.ownerEpoch, isWaiting ? 'true' : 'false'],
  });
  return counted?.open_count ?? 0;
};

/** `reason` undefined clears the mark. While it stands, `commit_batch` refuses the partition. */
export const markHalted = async (
  query: Query,
  p: number,
  ownerEpoch: number,
  reason?: string,
): Promise<void> => {
  await query({
    text: 'UPDATE partition SET halted = $3 WHERE p = $1 AND owner_epoch = $2 AND halted IS DISTINCT FROM $3',
    values: [p, ownerEpoch, reason ?? null],
  });
};

type EventRow = {
  readonly id: string;
  readonly team_id: string;
  readonly scope: string;
  readonly payload: string;
  readonly has_more: boolean;
};

/** The misuse of a spent id is an event of its own, though it carries the id. */
const readEventsText = `
SELECT e.id, e.team_id, e.scope, e.payload, EXISTS (SELECT 1 FROM event_log n WHERE n.p = e.p AND n.id = e.id + 1
  AND n.team_id = e.team_id AND n.command_id = e.command_id AND n.type <> 'command.rejected') AS has_more
FROM event_log e WHERE e.p = $1 AND e.id BETWEEN $2 AND $3 ORDER BY e.id`;

/** Rows of the event log as the relay sends them, ascending. */
export const readEventRows = async (
  query: Query,
  p: number,
  from: number,
  to: number,
): Promise<readonly RelayEvent[]> => {
  const rows = await query<EventRow>({
    name: 'read_event_rows',
    text: readEventsText,
    values: [p, from, to],
  });
  return rows.map((row) => ({
    seq: Number(row.id),
    subject: `evt.${p}.${row.team_id}.${row.scope}`,
    payload: row.payload,
    ...(row.has_more ? { hasMore: true } : {}),
  }));
};

/**
 * Number of the oldest event that is not older than `sinceMs`, or `nextId` when there is none: `at` grows with
 * the number but for small clock steps, so a binary search over the primary key will do.
 */
export const oldestEventSince = async (
  query: Query,
  p: number,
  nextId: number,
  sinceMs: number,
): Promise<number> => {
  let low = 1;
  let high = nextId;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [row] = await query<{ at: string }>({
      name: 'event_at',
      text: 'SELECT at FROM event_log WHERE p = $1 AND id >= $2 ORDER BY id LIMIT 1',
      values: [p, middle],
    });
    if (row && Number(row.at) < sinceMs) low = middle + 1;
    else high = middle;
  }
  return low;
};
