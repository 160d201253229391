/**
 * The write state of teams, kept in memory while their partition is owned: the lease makes it safe (nobody
 * else can commit), and fencing or any doubt drops it. Bound: TEAM_CACHE_MAX_COUNT teams, the oldest loaded go
 * first; eviction happens only between batches, when every cached team equals its committed rows.
 */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import { type ChannelId, type TeamId, type UserId, partitionOf } from '@chat/contracts/ids';
import { type ChannelMember, type Team, newTeam, putChannel } from '@chat/domain/team';

export const TEAM_CACHE_MAX_COUNT = 20_000;

/** Result row of `load_teams`. */
export type TeamRow = {
  readonly team_id: string;
  readonly name: string;
  readonly members: readonly (readonly [string, string])[] | null;
  readonly channels:
    readonly (readonly [string, string, string | null, string | null, number, number])[] | null;
  readonly channel_members: readonly (readonly [string, string, string, number, number])[] | null;
};

export const teamFromRow = (row: TeamRow): Team => {
  const team = newTeam(row.team_id as TeamId);
  team.name = row.name;
  for (const [userId, role] of row.members ?? []) team.members.set(userId as UserId, role as Role);
  for (const [id, kind, name, directKey, lastChannelSeq, lastAtMs] of row.channels ?? []) {
    putChannel(team, {
      id: id as ChannelId,
      kind: kind as ChannelKind,
      name: name ?? undefined,
      members: new Map<UserId, ChannelMember>(),
      lastChannelSeq,
      lastAtMs,
      directKey: directKey ?? undefined,
    });
  }
  for (const [channelId, userId, role, sinceSeq, readUpTo] of row.channel_members ?? []) {
    team.channels
      .get(channelId as ChannelId)
      ?.members.set(userId as UserId, { role: role as Role, sinceSeq, readUpTo });
  }
  return team;
};

export type TeamCache = {
  readonly get: (teamId: TeamId) => Team | undefined;
  readonly put: (team: Team) => void;
  readonly drop: (teamId: TeamId) => void;
  readonly dropPartition: (partition: number) => void;
  /** Call between batches only. */
  readonly trim: () => void;
  readonly count: () => number;
};

export const createTeamCache = (maxCount = TEAM_CACHE_MAX_COUNT): TeamCache => {
  const teams = new Map<TeamId, Team>();
  return {
    get: (teamId) => teams.get(teamId),
    put: (team) => void teams.set(team.id, team),
    drop: (teamId) => void teams.delete(teamId),
    dropPartition: (partition) => {
      for (const teamId of teams.keys()) if (partitionOf(teamId) === partition) teams.delete(teamId);
    },
    trim: () => {
      if (teams.size <= maxCount) return;
      for (const teamId of teams.keys()) {
        if (teams.size <= maxCount) return;
        teams.delete(teamId);
      }
    },
    count: () => teams.size,
  };
};
