/** The read model in PostgreSQL: a schema of its own, which may live beside the write model or in another server. */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { ChannelMembership } from '@chat/contracts/events';
import type { ReadStamp } from '@chat/contracts/http';
import type { ChannelId, MessageId, UserId } from '@chat/contracts/ids';
import { partitionOf } from '@chat/contracts/ids';
import type pg from 'pg';
import { boundsOf, cutList, pageOf } from '../page.ts';
import type { ChangedMember, Checkpoint, MessagePage, ReadModel, Refusal, TeamOfUser } from '../port.ts';
import { visibleAfter } from '../port.ts';
import { adoptEpoch, createBatchApplier } from './apply.ts';
import {
  changedMembersSql,
  channelsSql,
  membershipSql,
  membersSql,
  messagesSql,
  teamsSql,
  visibleChannelsSql,
} from './queries.ts';
import { READ_SCHEMA, checkedSchema } from './schema.ts';

export type PostgresReadModelDeps = {
  /** Owned by the caller, who ends it. */
  readonly pool: pg.Pool;
  readonly schema?: string;
};

type StampRow = { epoch: string | null; as_of: number | null; in_team: boolean };
type ChannelRow = StampRow & {
  channel_id: ChannelId | null;
  kind: ChannelKind;
  name: string | null;
  role: Role | null;
  last_channel_seq: number;
  read_up_to: number;
  unread_count: number;
  seq: number;
  member_ids: UserId[] | null;
};
type MessageRow = StampRow & {
  kind: ChannelKind | null;
  last_channel_seq: number;
  since_channel_seq: number;
  channel_seq: number | null;
  seq: number;
  message_id: MessageId;
  actor: UserId;
  at: number;
  text: string;
};
type MemberRow = StampRow & { kind: ChannelKind | null; user_id: UserId | null; role: Role };

const teamNotFound: Refusal = { kind: 'team_not_found' };
const channelNotFound: Refusal = { kind: 'channel_not_found' };

/** Less than every id. */
const BEFORE_ALL = '';
const LEAST_UUID = '00000000-0000-0000-0000-000000000000';

/** Undefined when the asker may not know of the team. */
const stampOf = (row: StampRow | undefined): ReadStamp | undefined =>
  row?.in_team && row.epoch !== null && row.as_of !== null
    ? { epoch: row.epoch, asOf: row.as_of }
    : undefined;

export const createPostgresReadModel = ({ pool, schema = READ_SCHEMA }: PostgresReadModelDeps): ReadModel => {
  checkedSchema(schema);
  // Prepared once a connection, by name: planning these costs more than running them.
  const prepared = <R extends pg.QueryResultRow>(name: string, text: string) => {
    return async (values: unknown[]): Promise<R[]> =>
      (await pool.query<R>({ name: `${schema}-${name}`, text, values })).rows;
  };
  const checkpointRows = prepared<Checkpoint>(
    'get-checkpoint',
    `SELECT epoch, seq::float8, digest FROM ${schema}.checkpoint WHERE p = $1`,
  );
  const teamRows = prepared<TeamOfUser>('teams', teamsSql(schema));
  const channelRows = prepared<ChannelRow>('channels', channelsSql(schema));
  const messageRows = prepared<MessageRow>('messages', messagesSql(schema));
  const memberRows = prepared<MemberRow>('members', membersSql(schema));
  const membershipRows = prepared<StampRow & { role: Role | null; channels: ChannelMembership[] | null }>(
    'membership',
    membershipSql(schema),
  );
  const visibleRows = prepared<StampRow & { channel_id: ChannelId | null; visible_after: number }>(
    'visible-channels',
    visibleChannelsSql(schema),
  );
  const changedRows = prepared<ChangedMember>('changed-members', changedMembersSql(schema));

  return {
    checkpoint: async (partition) => (await checkpointRows([partition]))[0],
    applyBatch: createBatchApplier(pool, schema),
    adoptEpoch: (partition, from, epoch) => adoptEpoch(pool, schema, partition, from, epoch),
    teamsOf: async (userId, { after = BEFORE_ALL, limitCount }) => {
      const { entries, hasMore } = cutList(await teamRows([userId, after, limitCount + 1]), limitCount);
      return { teams: entries, hasMore };
    },
    channels: async (teamId, userId, { after, limitCount }) => {
      const from = after ?? LEAST_UUID;
      const values = [partitionOf(teamId), teamId, userId, from, limitCount + 1, after ?? null];
      const rows = await channelRows(values);
      const stamp = stampOf(rows[0]);
      if (!stamp) return teamNotFound;
      const { entries, hasMore } = cutList(rows.flatMap(channelViewOf), limitCount);
      return { kind: 'found', ...stamp, channels: entries, hasMore };
    },
    messages: async (teamId, channelId, userId, page) => {
      const { below, belowCount, above, aboveCount } = boundsOf(page);
      const values = [partitionOf(teamId), teamId, userId, channelId, below, belowCount, above, aboveCount];
      const rows = await messageRows(values);
      const [first] = rows;
      const stamp = stampOf(first);
      if (!first || !stamp) return teamNotFound;
      if (first.kind === null) return channelNotFound;
      const messages = rows.flatMap((row) => messageViewOf(channelId, row));
      const floor = visibleAfter(first.kind, first.since_channel_seq);
      return { kind: 'found', ...stamp, ...pageOf(page, messages, floor, first.last_channel_seq) };
    },
    members: async (teamId, channelId, userId, { after = BEFORE_ALL, limitCount }) => {
      const values = [partitionOf(teamId), teamId, userId, channelId, after, limitCount + 1];
      const rows = await memberRows(values);
      const stamp = stampOf(rows[0]);
      if (!stamp) return teamNotFound;
      if (rows[0]?.kind === null) return channelNotFound;
      const members = rows.flatMap((row) => (row.user_id ? [{ userId: row.user_id, role: row.role }] : []));
      const { entries, hasMore } = cutList(members, limitCount);
      return { kind: 'found', ...stamp, members: entries, hasMore };
    },
    visibleChannels: async (teamId, userId) => {
      const rows = await visibleRows([partitionOf(teamId), teamId, userId]);
      const stamp = stampOf(rows[0]);
      if (!stamp) return teamNotFound;
      const channels = rows.flatMap(({ channel_id: channelId, visible_after: visibleAfter }) =>
        channelId === null ? [] : [{ channelId, visibleAfter }],
      );
      return { kind: 'found', ...stamp, channels };
    },
    membership: async (teamId, userId) => {
      const row = (await membershipRows([partitionOf(teamId), teamId, userId]))[0];
      if (!row || row.epoch === null || row.as_of === null) return undefined;
      const { epoch, as_of: asOf, role, channels } = row;
      return { asOf, epoch, ...(role === null ? {} : { role }), channels: channels ?? [] };
    },
    changedMembers: (partition, afterSeq, limitCount) => changedRows([partition, afterSeq, limitCount]),
  };
};

const channelViewOf = (row: ChannelRow) =>
  row.channel_id === null
    ? []
    : [
        {
          id: row.channel_id,
          kind: row.kind,
          ...(row.name === null ? {} : { name: row.name }),
          ...(row.member_ids === null ? {} : { memberIds: row.member_ids }),
          ...(row.role === null ? {} : { role: row.role }),
          lastChannelSeq: row.last_channel_seq,
          readUpTo: row.read_up_to,
          unreadCount: row.unread_count,
          seq: row.seq,
        },
      ];

const messageViewOf = (channelId: ChannelId, row: MessageRow): MessagePage['messages'] =>
  row.channel_seq === null
    ? []
    : [
        {
          id: row.message_id,
          channelId,
          channelSeq: row.channel_seq,
          seq: row.seq,
          actor: row.actor,
          at: row.at,
          text: row.text,
        },
      ];
