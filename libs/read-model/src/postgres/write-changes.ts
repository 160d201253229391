/**
 * The rows of a folded batch. The order matters to nobody here (one transaction), but it is the one that a store
 * without transactions needs as well (see fold.ts): messages and members first, heads last.
 */

import type { ChannelHead, Changes } from '../fold.ts';
import { type Client, upsert } from './upsert.ts';

export const writeChanges = async (
  client: Client,
  schema: string,
  partition: number,
  changes: Changes,
): Promise<void> => {
  await upsert(
    client,
    `${schema}.message`,
    ['team_id', 'channel_id', 'channel_seq'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['channel_id', 'uuid', (row) => row.channelId],
      ['channel_seq', 'bigint', (row) => row.channelSeq],
      ['counted_seq', 'bigint', (row) => row.countedSeq],
      ['seq', 'bigint', (row) => row.seq],
      ['message_id', 'uuid', (row) => row.id],
      ['actor', 'token', (row) => row.actor],
      ['at', 'bigint', (row) => row.at],
      ['text', 'text', (row) => row.text],
    ],
    changes.messages,
  );
  await upsert(
    client,
    `${schema}.team`,
    ['team_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['name', 'text', (row) => row.name],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.teams.values()],
  );
  await upsert(
    client,
    `${schema}.channel`,
    ['team_id', 'channel_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['channel_id', 'uuid', (row) => row.channelId],
      ['kind', 'token', (row) => row.kind],
      ['name', 'text', (row) => row.name],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.channels.values()],
  );
  await writeMembers(client, schema, partition, changes);
  await upsert(
    client,
    `${schema}.read_mark`,
    ['team_id', 'user_id', 'channel_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['user_id', 'token', (row) => row.userId],
      ['channel_id', 'uuid', (row) => row.channelId],
      ['up_to', 'bigint', (row) => row.upTo],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.readMarks.values()],
  );
  await writeHeads(client, schema, [...changes.heads.values()]);
};

/** Ends first, then begins: a membership that begins again in this batch has the greater seq and stays. */
const writeMembers = async (
  client: Client,
  schema: string,
  partition: number,
  changes: Changes,
): Promise<void> => {
  await upsert(
    client,
    `${schema}.team_member`,
    ['team_id', 'user_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['user_id', 'token', (row) => row.userId],
      ['p', 'smallint', () => partition],
      ['role', 'token', (row) => row.role],
      ['removed', 'boolean', (row) => row.removed],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.teamMembers.values()],
  );
  const leavers = [...changes.teamRemovals.values()];
  if (leavers.length > 0) {
    await client.query(
      `UPDATE ${schema}.channel_member t SET removed = true, seq = u.seq
       FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (team_id, user_id, seq)
       WHERE t.team_id = u.team_id AND t.user_id = u.user_id AND t.seq < u.seq AND NOT t.removed`,
      [leavers.map((row) => row.teamId), leavers.map((row) => row.userId), leavers.map((row) => row.seq)],
    );
  }
  const removals = [...changes.channelRemovals.values()];
  if (removals.length > 0) {
    await client.query(
      `UPDATE ${schema}.channel_member t SET removed = true, seq = u.seq
       FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[]) AS u (team_id, user_id, channel_id, seq)
       WHERE t.team_id = u.team_id AND t.user_id = u.user_id AND t.channel_id = u.channel_id AND t.seq < u.seq`,
      [
        removals.map((row) => row.teamId),
        removals.map((row) => row.userId),
        removals.map((row) => row.channelId),
        removals.map((row) => row.seq),
      ],
    );
  }
  await upsert(
    client,
    `${schema}.channel_member`,
    ['team_id', 'user_id', 'channel_id'],
    [
      ['team_id', 'token', (row) => row.teamId],
      ['user_id', 'token', (row) => row.userId],
      ['channel_id', 'uuid', (row) => row.channelId],
      ['p', 'smallint', () => partition],
      ['role', 'token', (row) => row.role],
      ['since_seq', 'bigint', (row) => row.sinceSeq],
      ['since_channel_seq', 'bigint', (row) => row.sinceChannelSeq],
      ['removed', 'boolean', (row) => row.removed],
      ['seq', 'bigint', (row) => row.seq],
    ],
    [...changes.channelMembers.values()],
  );
};

const writeHeads = async (client: Client, schema: string, heads: readonly ChannelHead[]): Promise<void> => {
  if (heads.length === 0) return;
  await client.query({
    name: `${schema}-write-heads`,
    text: `UPDATE ${schema}.channel t
           SET last_channel_seq = u.last_channel_seq, counted_seq = u.counted_seq, head_seq = u.seq
           FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
             AS u (team_id, channel_id, last_channel_seq, counted_seq, seq)
           WHERE t.team_id = u.team_id AND t.channel_id = u.channel_id AND t.head_seq < u.seq`,
    values: [
      heads.map((head) => head.teamId),
      heads.map((head) => head.channelId),
      heads.map((head) => head.lastChannelSeq),
      heads.map((head) => head.countedSeq),
      heads.map((head) => head.seq),
    ],
  });
};
