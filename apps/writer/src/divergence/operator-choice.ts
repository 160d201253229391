/**
 * What an operator may choose for a halted partition. Both only prepare; the owner, which compares again every
 * two seconds, then goes on by itself. Both refuse a partition that is not halted.
 *
 * - discard: the database is right. A new epoch begins; what the stream holds beyond is gone, and every client
 *            takes a new snapshot (`epoch_changed`).
 * - adopt:   the stream is right. Rows after the last common event are removed, the write state is built again from
 *            what remains, and the owner imports the rest from the stream. Persisted rows that the stream does not
 *            know are lost: that is the choice. Refused when the stream ends in the middle of a command: the owner
 *            adopts a command whole or not at all, and would halt again with the rows gone.
 */

import pg from 'pg';
import type { TeamId } from '@chat/contracts/ids';
import { HEADER_MORE_OF_COMMAND, evtStream } from '@chat/contracts/streams';
import type { Scope } from '@chat/contracts/subjects';
import { type StoredEvent, readStoredEvent } from '@chat/contracts/upcast';
import type { DraftEvent } from '@chat/domain/team';
import { BatchPlan } from '../batch/batch-plan.ts';
import { applyEvent } from '../batch/decide-batch.ts';
import type { WriterStreams } from '../streams/writer-streams.ts';
import { createTeamCache } from '../teams/team-cache.ts';

export type OperatorDeps = { readonly databaseUrl: string; readonly streams: WriterStreams };
export type OperatorResult =
  { readonly ok: true; readonly message: string } | { readonly ok: false; readonly message: string };

type HaltedRow = { readonly halted: string | null; readonly next_id: string; readonly epoch: string };

/** Runs `choose` in one transaction that holds the partition's row: no writer commits meanwhile. */
const onHalted = async (
  databaseUrl: string,
  p: number,
  choose: (client: pg.Client, row: HaltedRow) => Promise<OperatorResult>,
): Promise<OperatorResult> => {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'writer-operator' });
  await client.connect();
  try {
    await client.query('BEGIN');
    const { rows } = await client.query<HaltedRow>(
      'SELECT halted, next_id, epoch FROM partition WHERE p = $1 FOR UPDATE',
      [p],
    );
    const [row] = rows;
    if (!row) return { ok: false, message: `there is no partition ${p}` };
    if (row.halted === null)
      return { ok: false, message: `partition ${p} is not halted; nothing was changed` };
    const result = await choose(client, row);
    if (result.ok) await client.query('COMMIT');
    return result;
  } finally {
    // Ends an open transaction as well.
    await client.end();
  }
};

/** Epoch first, stream second: a crash between the two leaves the partition halted, and the choice can be made again. */
export const discard = async ({ databaseUrl, streams }: OperatorDeps, p: number): Promise<OperatorResult> => {
  const chosen = await onHalted(databaseUrl, p, async (client) => {
    await client.query(
      `UPDATE partition SET epoch = substr(replace(gen_random_uuid()::text, '-', ''), 1, 12) WHERE p = $1`,
      [p],
    );
    return {
      ok: true,
      message: `partition ${p}: a new epoch begins; the stream is made again from the database`,
    };
  });
  if (chosen.ok && (await streams.state(evtStream(p))).exists) await streams.deleteEvt(p);
  return chosen;
};

export const adoptStream = ({ databaseUrl, streams }: OperatorDeps, p: number): Promise<OperatorResult> =>
  onHalted(databaseUrl, p, async (client, row) => {
    const stream = await streams.state(evtStream(p));
    if (!stream.exists)
      return { ok: false, message: `${evtStream(p)} does not exist: there is nothing to adopt` };
    // One made by hand, most likely: adopting it would remove every row of the partition.
    if (stream.lastSeq === 0)
      return {
        ok: false,
        message: `partition ${p}: ${evtStream(p)} never held an event: there is nothing to adopt; nothing was changed`,
      };
    const last = await streams.message(evtStream(p), stream.lastSeq);
    if (last && last.header(HEADER_MORE_OF_COMMAND) !== '') {
      return {
        ok: false,
        message: `partition ${p}: ${evtStream(p)} ends with event ${stream.lastSeq}, in the middle of a command; it cannot be adopted, only discard helps; nothing was changed`,
      };
    }
    const common = await lastCommon(client, streams, p, Number(row.next_id) - 1, stream);
    if (common === undefined) {
      return { ok: false, message: `partition ${p}: the stream and the database have no event in common` };
    }
    await client.query('DELETE FROM event_log WHERE p = $1 AND id > $2', [p, common]);
    await client.query('DELETE FROM command WHERE p = $1 AND event_id > $2', [p, common]);
    await rebuildState(client, p);
    // The commands are read again from the first: those of removed rows must be decided anew.
    await client.query(
      `UPDATE partition SET next_id = $2, epoch = $3, cmd_seq = 0, cmd_msg_id = '' WHERE p = $1`,
      [p, common + 1, stream.epoch ?? row.epoch],
    );
    const count = Number(row.next_id) - 1 - common;
    return {
      ok: true,
      message: `partition ${p}: ${count} rows after event ${common} removed; the stream is adopted`,
    };
  });

/** 0 when the stream still begins with event 1 and already that one differs. */
const lastCommon = async (
  client: pg.Client,
  streams: WriterStreams,
  p: number,
  committedSeq: number,
  stream: { readonly firstSeq: number; readonly lastSeq: number },
): Promise<number | undefined> => {
  for (let seq = Math.min(committedSeq, stream.lastSeq); seq >= Math.max(1, stream.firstSeq); seq -= 1) {
    const message = await streams.message(evtStream(p), seq);
    const { rows } = await client.query<{ payload: string }>(
      'SELECT payload FROM event_log WHERE p = $1 AND id = $2',
      [p, seq],
    );
    if (message && rows[0]?.payload === Buffer.from(message.data).toString()) return seq;
  }
  return stream.firstSeq <= 1 ? 0 : undefined;
};

const REBUILD_CHUNK_COUNT = 5_000;

/** The write state is nothing but the log, applied: drops it for the partition and applies the log again. */
const rebuildState = async (client: pg.Client, p: number): Promise<void> => {
  for (const table of ['channel_member', 'channel', 'team_member']) {
    await client.query(`DELETE FROM ${table} WHERE team_id IN (SELECT team_id FROM team WHERE p = $1)`, [p]);
  }
  await client.query('DELETE FROM team WHERE p = $1', [p]);
  const plan = new BatchPlan();
  const teams = createTeamCache(Number.MAX_SAFE_INTEGER);
  for (let after = 0; ;) {
    const { rows } = await client.query<{ id: string; team_id: string; scope: string; payload: string }>(
      'SELECT id, team_id, scope, payload FROM event_log WHERE p = $1 AND id > $2 ORDER BY id LIMIT $3',
      [p, after, REBUILD_CHUNK_COUNT],
    );
    for (const row of rows) {
      after = Number(row.id);
      const element = readStoredEvent(JSON.parse(row.payload) as StoredEvent);
      if (element.type === 'command.rejected') continue;
      const teamId = row.team_id as TeamId;
      const before = teams.get(teamId);
      const draft = { ...element, scope: row.scope as Scope } as unknown as DraftEvent;
      const team = applyEvent(plan, before, teamId, draft, after);
      if (!before) teams.put(team);
    }
    if (rows.length < REBUILD_CHUNK_COUNT) break;
  }
  const state = plan.changes.toJson();
  if (state !== null) await client.query('SELECT apply_state($1)', [state]);
};
