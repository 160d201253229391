/**
 * The drift checker's side of PostgreSQL. A snapshot is a REPEATABLE READ transaction; digests of messages are made in
 * SQL, so that the texts stay where they are. A repair locks the checkpoint, as a batch does, and raises its `turn`.
 */

import type { ChannelId, TeamId } from '@chat/contracts/ids';
import { makeTeamId } from '@chat/contracts/ids';
import type pg from 'pg';
import type { ChannelKey } from '../fold.ts';
import { checkedSchema } from '../postgres/schema.ts';
import type { Client } from '../postgres/upsert.ts';
import type { Checkpoint } from '../port.ts';
import { createPostgresDriftWriter } from './postgres-writer.ts';
import { messagesSql, rangesSql, stateQueries, storedChannelsSql, storedTeamsSql } from './postgres-sql.ts';
import { type DriftScope, type DriftStore, type DriftView, type StoredRange } from './port.ts';

const PAGE_COUNT = 2_000;
/** Of one statement: far below the statement's time limit. */
const WINDOW_ROWS_COUNT = 50_000;
const WINDOW_CHANNELS_COUNT = 500;
const TEAMS_COUNT = 200;
const MAX_SEQ = '9223372036854775807';

export const createPostgresDriftStore = (pool: pg.Pool, schema: string): DriftStore => {
  checkedSchema(schema);
  return {
    inSnapshot: (scope, look) =>
      inTransaction(pool, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', async (client) =>
        look(viewOf(client, schema, scope, await checkpointOf(client, schema, scope.partition))),
      ),
    exclusively: (partition, write) =>
      inTransaction(pool, 'BEGIN', async (client) => {
        const checkpoint = await checkpointOf(client, schema, partition, true);
        return write(createPostgresDriftWriter(client, schema, partition, checkpoint));
      }),
  };
};

const inTransaction = async <T>(
  pool: pg.Pool,
  begin: string,
  fn: (client: Client) => Promise<T>,
): Promise<T> => {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(begin);
    const value = await fn(client);
    await client.query('COMMIT');
    return value;
  } catch (error) {
    await client.query('ROLLBACK').catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.release(broken);
  }
};

const checkpointOf = async (
  client: Client,
  schema: string,
  partition: number,
  isLocked = false,
): Promise<Checkpoint | undefined> => {
  const { rows } = await client.query<Checkpoint>(
    `SELECT epoch, seq::float8, digest FROM ${schema}.checkpoint WHERE p = $1 ${isLocked ? 'FOR UPDATE' : ''}`,
    [partition],
  );
  return rows[0];
};

/** The two characters that begin the ids of the partition's teams. */
export const teamPrefixOf = (partition: number): string =>
  makeTeamId(partition, new Uint8Array(9)).slice(0, 2);

const viewOf = (
  client: Client,
  schema: string,
  scope: DriftScope,
  checkpoint: Checkpoint | undefined,
): DriftView => {
  const { partition, teamId } = scope;
  const where = teamId === undefined ? 'left(team_id, 2) = $1' : 'team_id = $1';
  const subject = teamId ?? teamPrefixOf(partition);
  return {
    checkpoint,
    states: async (onRow) => {
      for (const { text, toRow } of stateQueries(schema, where, partition)) {
        await inPages(client, text, [subject], (row) => onRow(toRow(row)));
      }
    },
    ranges: async (expected, withDigests, onRange) => {
      const counts = new Map(expected.map((channel) => [`${channel.teamId}/${channel.channelId}`, channel]));
      for (const channel of await storedChannels(client, schema, scope)) {
        const name = `${channel.teamId}/${channel.channelId}`;
        if (!counts.has(name)) counts.set(name, { ...channel, count: 0 });
      }
      for (const window of windowsOf([...counts.values()])) {
        await readWindow(client, schema, window, withDigests, onRange);
      }
    },
    messages: async (key, range) => {
      const { text, values, toRow } = messagesSql(schema, key, range);
      const { rows } = await client.query(text, values);
      return rows.map((row) => ({ isWhole: true, row: toRow(row as never) }));
    },
  };
};

const inPages = async (
  client: Client,
  text: string,
  values: unknown[],
  onRow: (row: never) => void,
): Promise<void> => {
  await client.query(`DECLARE drift NO SCROLL CURSOR FOR ${text}`, values);
  for (;;) {
    const { rows } = await client.query(`FETCH ${PAGE_COUNT} FROM drift`);
    for (const row of rows) onRow(row as never);
    if (rows.length < PAGE_COUNT) break;
  }
  await client.query('CLOSE drift');
};

/** Channels that hold messages, whether the log knows them or not: found by jumping along the index. */
const storedChannels = async (
  client: Client,
  schema: string,
  { partition, teamId }: DriftScope,
): Promise<readonly ChannelKey[]> => {
  const teams =
    teamId === undefined
      ? (await client.query<{ team_id: TeamId }>(storedTeamsSql(schema), [teamPrefixOf(partition)])).rows.map(
          (row) => row.team_id,
        )
      : [teamId];
  const channels: ChannelKey[] = [];
  for (let at = 0; at < teams.length; at += TEAMS_COUNT) {
    const { rows } = await client.query<{ team_id: TeamId; channel_id: ChannelId }>(
      storedChannelsSql(schema),
      [teams.slice(at, at + TEAMS_COUNT)],
    );
    for (const row of rows) channels.push({ teamId: row.team_id, channelId: row.channel_id });
  }
  return channels;
};

type Window = { readonly channels: ChannelKey[]; rowCount: number; from?: number; to?: number };

/** Small channels together, a large one in pieces; the last piece is open, for what the log does not know. */
const windowsOf = (channels: readonly (ChannelKey & { readonly count: number })[]): readonly Window[] => {
  const windows: Window[] = [];
  let open: Window | undefined;
  for (const channel of channels) {
    if (channel.count > WINDOW_ROWS_COUNT) {
      for (let from = 0; from < channel.count; from += WINDOW_ROWS_COUNT) {
        const to = from + WINDOW_ROWS_COUNT;
        const bounds = { ...(from === 0 ? {} : { from }), ...(to >= channel.count ? {} : { to }) };
        windows.push({ channels: [channel], rowCount: WINDOW_ROWS_COUNT, ...bounds });
      }
      continue;
    }
    if (!open || open.rowCount >= WINDOW_ROWS_COUNT || open.channels.length >= WINDOW_CHANNELS_COUNT)
      windows.push((open = { channels: [], rowCount: 0 }));
    open.channels.push(channel);
    open.rowCount += channel.count;
  }
  return windows;
};

type RangeRow = {
  team_id: TeamId;
  channel_id: ChannelId;
  range: number;
  count: number;
  digest: string | null;
};

const readWindow = async (
  client: Client,
  schema: string,
  { channels, from, to }: Window,
  withDigests: boolean,
  onRange: (range: StoredRange) => void,
): Promise<void> => {
  const { rows } = await client.query<RangeRow>(rangesSql(schema, withDigests), [
    channels.map(({ teamId }) => teamId),
    channels.map(({ channelId }) => channelId),
    from ?? `-${MAX_SEQ}`,
    to ?? MAX_SEQ,
  ]);
  for (const { team_id: teamId, channel_id: channelId, range, count, digest } of rows)
    onRange({ teamId, channelId, range, count, digest: digest ?? undefined });
};
