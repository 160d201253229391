/**
 * Which rows of the write state a batch touched. Only keys are gathered; the rows are read from the
 * aggregates once the batch is decided, so that many changes of one row become its final value.
 */

import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import { partitionOf } from '@chat/contracts/ids';
import type { Channel, DraftEvent, Team } from '@chat/domain/team';

type TouchedTeam = {
  readonly team: Team;
  isNamed: boolean;
  readonly members: Set<UserId>;
  readonly channels: Set<ChannelId>;
  readonly channelMembers: Map<ChannelId, Set<UserId>>;
};

export class StateChanges {
  readonly #teams = new Map<TeamId, TouchedTeam>();
  /** Channels of which only the newest message changed: the hot path, written by arrays. */
  readonly #heads = new Map<Channel, TeamId>();

  touchHead(teamId: TeamId, channel: Channel): void {
    this.#heads.set(channel, teamId);
  }

  /** Before `evolve`: a user that leaves the team leaves channels that are not named in the event. */
  before(team: Team, event: DraftEvent): void {
    if (event.type !== 'team.member_removed') return;
    const touched = this.#touched(team);
    for (const channel of team.channels.values()) {
      if (!channel.members.has(event.data.userId)) continue;
      if (channel.directKey !== undefined) touched.channels.add(channel.id);
      this.#touchMember(touched, channel.id, event.data.userId);
    }
  }

  /** After `evolve`. */
  after(team: Team, event: DraftEvent): void {
    const touched = this.#touched(team);
    switch (event.type) {
      case 'team.created':
        touched.isNamed = true;
        return;
      case 'team.member_added':
      case 'team.member_removed':
        touched.members.add(event.data.userId);
        return;
      case 'channel.created':
        if (event.channelId) touched.channels.add(event.channelId);
        return;
      case 'member.added':
      case 'member.removed':
        if (!event.channelId) return;
        touched.channels.add(event.channelId);
        this.#touchMember(touched, event.channelId, event.data.userId);
        return;
      case 'read.marked':
        if (event.channelId) this.#touchMember(touched, event.channelId, event.scope.slice(2) as UserId);
        return;
      case 'message.sent':
      case 'command.rejected':
        return;
    }
  }

  #touched(team: Team): TouchedTeam {
    let touched = this.#teams.get(team.id);
    if (!touched) {
      touched = {
        team,
        isNamed: false,
        members: new Set(),
        channels: new Set(),
        channelMembers: new Map(),
      };
      this.#teams.set(team.id, touched);
    }
    return touched;
  }

  #touchMember(touched: TouchedTeam, channelId: ChannelId, userId: UserId): void {
    const users = touched.channelMembers.get(channelId);
    if (users) users.add(userId);
    else touched.channelMembers.set(channelId, new Set([userId]));
  }

  heads(): ReadonlyMap<Channel, TeamId> {
    return this.#heads;
  }

  /** The JSON argument of `apply_state`, or null when nothing rare changed. */
  toJson(): string | null {
    if (this.#teams.size === 0) return null;
    const state = emptyState();
    for (const touched of this.#teams.values()) addTeam(state, touched);
    return JSON.stringify(state);
  }
}

type Rows = Record<string, unknown>[];
type StateRows = Record<
  'putTeams' | 'putTeamMembers' | 'dropTeamMembers' | 'putChannels' | 'putMembers' | 'dropMembers',
  Rows
>;

const emptyState = (): StateRows => ({
  putTeams: [],
  putTeamMembers: [],
  dropTeamMembers: [],
  putChannels: [],
  putMembers: [],
  dropMembers: [],
});

const addTeam = (
  state: StateRows,
  { team, isNamed, members, channels, channelMembers }: TouchedTeam,
): void => {
  const team_id = team.id;
  if (isNamed) state.putTeams.push({ team_id, p: partitionOf(team_id), name: team.name });
  for (const user_id of members) {
    const role = team.members.get(user_id);
    if (role === undefined) state.dropTeamMembers.push({ team_id, user_id });
    else state.putTeamMembers.push({ team_id, user_id, role });
  }
  for (const channel_id of channels) {
    const channel = team.channels.get(channel_id);
    if (channel) state.putChannels.push(channelRow(team_id, channel));
  }
  for (const [channel_id, users] of channelMembers) {
    for (const user_id of users) {
      const member = team.channels.get(channel_id)?.members.get(user_id);
      if (!member) state.dropMembers.push({ team_id, channel_id, user_id });
      else {
        const { role, sinceSeq: since_seq, readUpTo: read_up_to } = member;
        state.putMembers.push({ team_id, channel_id, user_id, role, since_seq, read_up_to });
      }
    }
  }
};

const channelRow = (team_id: TeamId, channel: Channel): Record<string, unknown> => ({
  team_id,
  channel_id: channel.id,
  kind: channel.kind,
  name: channel.name ?? null,
  direct_key: channel.directKey ?? null,
  last_channel_seq: channel.lastChannelSeq,
  last_at: channel.lastAtMs,
});
