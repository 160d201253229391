/** Rows that are no messages: each one of the store against the one of the log, then what the store lacks. */

import { partitionOf } from '@chat/contracts/ids';
import {
  type ChannelHead,
  type ChannelMemberRow,
  type ChannelRow,
  type ReadMarkRow,
  type TeamMemberRow,
  type TeamRow,
  channelKeyOf,
} from '../fold.ts';
import { shortDigest } from './digest.ts';
import { type ExpectedState, memberInChannelKeyOf, memberKeyOf } from './expected.ts';
import { type DriftWhat, type Fields, type Findings, compareFields } from './findings.ts';
import type { DriftView, Fix, StateRow } from './port.ts';

const whole = { isWhole: true } as const;
const teamFields = ({ name, seq }: TeamRow): Fields => ({ nameDigest: shortDigest(name), seq, ...whole });
const teamMemberFields = ({ role, removed, seq }: TeamMemberRow): Fields => ({
  role,
  removed,
  seq,
  ...whole,
});
const channelFields = ({ kind, name, seq }: ChannelRow): Fields => ({
  kind,
  ...(name === undefined ? {} : { nameDigest: shortDigest(name) }),
  seq,
  ...whole,
});
const headFields = ({ lastChannelSeq, countedSeq, seq }: ChannelHead): Fields => ({
  lastChannelSeq,
  countedSeq,
  seq,
});
const channelMemberFields = (row: ChannelMemberRow): Fields => {
  const { role, sinceSeq, sinceChannelSeq, removed, seq } = row;
  return { role, sinceSeq, sinceChannelSeq, removed, seq, ...whole };
};
const markFields = ({ upTo, seq }: ReadMarkRow): Fields => ({ upTo, seq, ...whole });

/** One thing that is compared: its place in the report, and what puts it right. */
type Compared = {
  readonly what: DriftWhat;
  readonly id: string;
  readonly key: string;
  readonly fix: Fix;
  readonly fields: Fields;
};

const ofTeam = (row: TeamRow): Compared => ({
  what: 'team',
  id: row.teamId,
  key: '',
  fix: { of: 'team', teamId: row.teamId },
  fields: teamFields(row),
});
const ofTeamMember = (row: TeamMemberRow): Compared => ({
  what: 'membership',
  id: memberKeyOf(row),
  key: row.userId,
  fix: { of: 'team_member', teamId: row.teamId, userId: row.userId },
  fields: teamMemberFields(row),
});
const ofChannel = (row: ChannelRow): Compared => ({
  what: 'channel',
  id: channelKeyOf(row),
  key: row.channelId,
  fix: { of: 'channel', teamId: row.teamId, channelId: row.channelId },
  fields: channelFields(row),
});
const ofHead = (head: ChannelHead): Compared => ({
  what: 'head',
  id: channelKeyOf(head),
  key: head.channelId,
  fix: { of: 'channel', teamId: head.teamId, channelId: head.channelId },
  fields: headFields(head),
});
const ofMember = (of: 'channel_member' | 'read_mark', row: ChannelMemberRow | ReadMarkRow): Compared => {
  const { teamId, userId, channelId } = row;
  return {
    what: of === 'read_mark' ? 'mark' : 'membership',
    id: memberInChannelKeyOf(row),
    key: `${userId}/${channelId}`,
    fix: { of, teamId, userId, channelId },
    fields:
      of === 'read_mark' ? markFields(row as ReadMarkRow) : channelMemberFields(row as ChannelMemberRow),
  };
};

const comparedOf = (stored: StateRow): readonly Compared[] => {
  switch (stored.of) {
    case 'team':
      return [ofTeam(stored.row)];
    case 'team_member':
      return [ofTeamMember(stored.row)];
    case 'channel':
      return [ofChannel(stored.row), ofHead(stored.head)];
    case 'channel_member':
    case 'read_mark':
      return [ofMember(stored.of, stored.row)];
  }
};

function* expectedOf(expected: ExpectedState): Generator<Compared> {
  for (const row of expected.teams.values()) yield ofTeam(row);
  for (const row of expected.teamMembers.values()) yield ofTeamMember(row);
  for (const row of expected.channels.values()) yield ofChannel(row);
  for (const row of expected.heads.values()) yield ofHead(row);
  for (const row of expected.channelMembers.values()) yield ofMember('channel_member', row);
  for (const row of expected.readMarks.values()) yield ofMember('read_mark', row);
}

const nameOf = ({ what, id }: Compared): string => `${what}/${id}`;

const wantedOf = (expected: ExpectedState, { id, fix, what }: Compared): Fields | undefined => {
  const of = <R>(rows: ReadonlyMap<string, R>, fields: (row: R) => Fields): Fields | undefined => {
    const row = rows.get(id);
    return row === undefined ? undefined : fields(row);
  };
  switch (fix.of) {
    case 'team':
      return of(expected.teams, teamFields);
    case 'team_member':
      return of(expected.teamMembers, teamMemberFields);
    case 'channel':
      return what === 'head' ? of(expected.heads, headFields) : of(expected.channels, channelFields);
    case 'channel_member':
      return of(expected.channelMembers, channelMemberFields);
    case 'read_mark':
      return of(expected.readMarks, markFields);
    case 'messages':
      return undefined;
  }
};

/** Within the snapshot. */
export const compareStates = async (
  view: DriftView,
  expected: ExpectedState,
  findings: Findings,
): Promise<void> => {
  const { partition } = expected.scope;
  const seen = new Set<string>();
  const judge = (one: Compared, wanted: Fields | undefined, found: Fields | undefined): void => {
    const difference = compareFields(wanted, found);
    if (!difference) return;
    const { what, key, fix } = one;
    findings.add({ ...difference, what, partition, teamId: fix.teamId, key });
    findings.fix(JSON.stringify(fix), fix);
  };
  await view.states((stored) => {
    // A row that says it is of this partition though its team is not: to be found there, not here.
    if (partitionOf(stored.row.teamId) !== partition) return;
    for (const one of comparedOf(stored)) {
      findings.counts[one.what].found += 1;
      seen.add(nameOf(one));
      const found = one.what === 'head' || stored.isWhole ? one.fields : { ...one.fields, isWhole: false };
      judge(one, wantedOf(expected, one), found);
    }
  });
  for (const one of expectedOf(expected)) {
    findings.counts[one.what].expected += 1;
    if (!seen.has(nameOf(one))) judge(one, one.fields, undefined);
  }
};
