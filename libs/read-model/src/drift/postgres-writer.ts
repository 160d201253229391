/** Putting rows right in PostgreSQL, within the transaction that holds the checkpoint's row. */

import type { Checkpoint } from '../port.ts';
import { writeChanges } from '../postgres/write-changes.ts';
import type { Client } from '../postgres/upsert.ts';
import type { DriftWriter, Fix } from './port.ts';
import { rangeBounds } from './postgres-sql.ts';

export const createPostgresDriftWriter = (
  client: Client,
  schema: string,
  partition: number,
  checkpoint: Checkpoint | undefined,
): DriftWriter => ({
  checkpoint,
  replace: async (fixes, rows) => {
    await remove(client, schema, fixes);
    // Nothing stands under these keys now: the guards by `seq` let every row through.
    await writeChanges(client, schema, partition, rows);
    // Whoever remembers heads of channels forgets them: they may have been read from what was wrong.
    await client.query(`UPDATE ${schema}.checkpoint SET turn = turn + 1 WHERE p = $1`, [partition]);
  },
});

const remove = async (client: Client, schema: string, fixes: readonly Fix[]): Promise<void> => {
  const of = <K extends Fix['of']>(kind: K) =>
    fixes.filter((fix): fix is Extract<Fix, { of: K }> => fix.of === kind);
  const drop = async (table: string, columns: readonly [string, string, readonly string[]][]) => {
    if (columns[0]?.[2].length === 0) return;
    const arrays = columns.map(([, type], at) => `$${at + 1}::${type}[]`).join(', ');
    const names = columns.map(([name]) => name);
    await client.query(
      `DELETE FROM ${schema}.${table} t USING unnest(${arrays}) AS k (${names.join(', ')})
       WHERE ${names.map((name) => `t.${name} = k.${name}`).join(' AND ')}`,
      columns.map(([, , values]) => values),
    );
  };
  const teams = of('team').map(({ teamId }) => teamId);
  await drop('team', [['team_id', 'text', teams]]);
  const teamMembers = of('team_member');
  await drop('team_member', [
    ['team_id', 'text', teamMembers.map(({ teamId }) => teamId)],
    ['user_id', 'text', teamMembers.map(({ userId }) => userId)],
  ]);
  const channels = of('channel');
  await drop('channel', [
    ['team_id', 'text', channels.map(({ teamId }) => teamId)],
    ['channel_id', 'uuid', channels.map(({ channelId }) => channelId)],
  ]);
  for (const table of ['channel_member', 'read_mark'] as const) {
    const rows = fixes.filter((fix) => fix.of === table) as Extract<Fix, { of: 'read_mark' }>[];
    await drop(table, [
      ['team_id', 'text', rows.map(({ teamId }) => teamId)],
      ['user_id', 'text', rows.map(({ userId }) => userId)],
      ['channel_id', 'uuid', rows.map(({ channelId }) => channelId)],
    ]);
  }
  for (const { teamId, channelId, range } of of('messages')) {
    const { from, to } = rangeBounds(range);
    await client.query(
      `DELETE FROM ${schema}.message
       WHERE team_id = $1 AND channel_id = $2 AND channel_seq BETWEEN $3 AND $4`,
      [teamId, channelId, from, to],
    );
  }
};
