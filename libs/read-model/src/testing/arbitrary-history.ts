/** Random, valid histories: fast-check draws wishes, and those that the state allows become events. */

import type { ChannelKind } from '@chat/contracts/commands';
import { type ChannelId, type TeamId, type UserId, makeTeamId } from '@chat/contracts/ids';
import fc from 'fast-check';
import type { ReadEvent } from '../port.ts';
import { HistoryBuilder, uuidOf } from './history-builder.ts';

export const historyPartition = 3;
export const teams: readonly TeamId[] = [1, 2].map((n) =>
  makeTeamId(historyPartition, new Uint8Array(9).fill(n)),
);
export const users: readonly UserId[] = ['ann', 'Ben', 'c_c', '-d'] as UserId[];
const kinds: readonly ChannelKind[] = ['public', 'private', 'direct', 'private', 'public'];
export const channelsPerTeam = kinds.length;
export const channelOf = (team: number, channel: number): ChannelId =>
  uuidOf(0xa000 + team * 0x100 + channel) as ChannelId;

const wish = fc.record({
  what: fc.constantFrom(
    'team+',
    'team+',
    'team-',
    'channel',
    'join',
    'leave',
    'say',
    'say',
    'say',
    'mark',
    'no',
  ),
  team: fc.nat(teams.length - 1),
  user: fc.nat(users.length - 1),
  other: fc.nat(users.length - 1),
  channel: fc.nat(channelsPerTeam - 1),
  upTo: fc.nat(40),
  text: fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter((text) => !text.includes('\u0000')),
});
type Wish = typeof wish extends fc.Arbitrary<infer W> ? W : never;

type TeamState = { readonly members: Set<UserId>; readonly channels: Map<ChannelId, Set<UserId>> };

const play = (wishes: readonly Wish[]): ReadEvent[] => {
  const builder = new HistoryBuilder();
  const states = teams.map((teamId): TeamState => {
    builder.createTeam(teamId, users[0]!, `team ${teamId.slice(2, 4)}`);
    return { members: new Set([users[0]!]), channels: new Map() };
  });
  for (const one of wishes) playOne(builder, states[one.team]!, one);
  return builder.events;
};

const playOne = (builder: HistoryBuilder, state: TeamState, one: Wish): void => {
  const { what, team, channel, upTo, text } = one;
  const teamId = teams[team]!;
  const user = users[one.user]!;
  const other = users[one.other]!;
  const id = channelOf(team, channel);
  const kind = kinds[channel]!;
  const name = kind === 'direct' ? undefined : `channel ${channel}`;
  const members = state.channels.get(id);
  const isMember = members?.has(user) ?? false;
  const last = builder.lastChannelSeq(id);
  if (what === 'team+' && !state.members.has(user)) {
    state.members.add(user);
    builder.addTeamMember(teamId, user, upTo % 2 === 0 ? 'member' : 'admin');
  } else if (what === 'team-' && one.user > 0 && state.members.delete(user)) {
    for (const set of state.channels.values()) set.delete(user);
    builder.removeTeamMember(teamId, user);
  } else if (what === 'channel' && !members && state.members.has(user)) {
    const first = kind === 'direct' && state.members.has(other) && other !== user ? [user, other] : [user];
    state.channels.set(id, new Set(first));
    builder.createChannel(teamId, id, kind, name, first);
  } else if (what === 'join' && members && state.members.has(user) && !isMember && kind !== 'direct') {
    members.add(user);
    builder.join(teamId, id, user, 'member', kind, name);
  } else if (what === 'leave' && isMember && kind !== 'direct') {
    members?.delete(user);
    builder.leave(teamId, id, user);
  } else if (what === 'say' && isMember) builder.say(teamId, id, user, text);
  else if (what === 'mark' && isMember && last > 0) builder.mark(teamId, id, user, 1 + (upTo % last));
  else builder.reject(teamId, user);
};

export const arbitraryHistory: fc.Arbitrary<readonly ReadEvent[]> = fc
  .array(wish, { minLength: 1, maxLength: 120 })
  .map(play);
