/**
 * What the log says the read model holds: the same fold as the projector's, kept in memory. Messages are not kept, only
 * digests of their ranges with what is needed to read a range again: where in the log it lies, and the head before it.
 *
 * Bounds: STATE_MAX_COUNT rows; beyond, a partition is checked team by team.
 */

import { type Hash, createHash } from 'node:crypto';
import type { MembershipView } from '@chat/contracts/events';
import type { TeamId } from '@chat/contracts/ids';
import { Fault } from '@chat/platform/faults';
import {
  type ChannelHead,
  type ChannelKey,
  type ChannelMemberRow,
  type ChannelRow,
  type Changes,
  type MessageRow,
  type ReadMarkRow,
  type TeamMemberRow,
  type TeamRow,
  channelKeyOf,
  foldBatch,
  headsNeeded,
} from '../fold.ts';
import type { MemberKey, ReadEvent } from '../port.ts';
import { messageDigest } from './digest.ts';
import { type DriftLog, type DriftScope, rangeOf } from './port.ts';

export const STATE_MAX_COUNT = 2_000_000;

export type ExpectedRange = {
  readonly range: number;
  /** Of the channel before the first message of the range, which stands after event `afterSeq`. */
  readonly start: ChannelHead;
  readonly afterSeq: number;
  lastSeq: number;
  count: number;
  digest: string;
};

export type ExpectedMembership = MemberKey &
  Pick<MembershipView, 'role' | 'channels'> & { readonly seq: number };

type ExpectedMessages = ChannelKey & {
  readonly ranges: ExpectedRange[];
  hash: Hash;
  count: number;
  head: ChannelHead;
};

export const memberKeyOf = ({ teamId, userId }: MemberKey): string => `${teamId}/${userId}`;
export const memberInChannelKeyOf = (key: MemberKey & ChannelKey): string =>
  `${memberKeyOf(key)}/${key.channelId}`;

export class ExpectedState {
  readonly scope: DriftScope;
  /** Everything up to this event is in here. */
  seq = 0;
  readonly teams = new Map<string, TeamRow>();
  readonly teamMembers = new Map<string, TeamMemberRow>();
  readonly channels = new Map<string, ChannelRow>();
  readonly heads = new Map<string, ChannelHead>();
  readonly channelMembers = new Map<string, ChannelMemberRow>();
  readonly readMarks = new Map<string, ReadMarkRow>();
  readonly messages = new Map<string, ExpectedMessages>();
  /** Keys of a user's rows in `channelMembers`: a removal from the team ends them all. */
  readonly #ofMember = new Map<string, Set<string>>();

  constructor(scope: DriftScope) {
    this.scope = scope;
  }

  /** Reads on to `upTo`. Throws what the log throws, and LogFault. */
  async advance(log: DriftLog, upTo: number, signal?: AbortSignal): Promise<void> {
    while (this.seq < upTo) {
      signal?.throwIfAborted();
      const { events, reachedSeq } = await log.read(this.scope, this.seq, upTo);
      this.#apply(events);
      this.seq = reachedSeq;
    }
  }

  /** Of everyone who is or was a member of a team, as the log says it; `seq` is the newest change of it. */
  *memberships(): Generator<ExpectedMembership> {
    for (const [key, { teamId, userId, role, removed }] of this.teamMembers) {
      const rows = [...(this.#ofMember.get(key) ?? [])].flatMap(
        (name) => this.channelMembers.get(name) ?? [],
      );
      const channels = rows
        .filter((row) => !row.removed && !removed)
        .map((row) => ({ id: row.channelId, sinceSeq: row.sinceSeq, role: row.role }))
        .sort((a, b) => (a.id < b.id ? -1 : 1));
      const seq = this.changedSeq({ teamId, userId });
      yield { teamId, userId, seq, ...(removed ? {} : { role }), channels };
    }
  }

  /** Newest change of the user's memberships; 0: there never was one. */
  changedSeq(key: MemberKey): number {
    let seq = this.teamMembers.get(memberKeyOf(key))?.seq ?? 0;
    for (const member of this.#ofMember.get(memberKeyOf(key)) ?? [])
      seq = Math.max(seq, this.channelMembers.get(member)?.seq ?? 0);
    return seq;
  }

  range(key: ChannelKey, range: number): ExpectedRange | undefined {
    return this.messages.get(channelKeyOf(key))?.ranges[range];
  }

  #apply(events: readonly ReadEvent[]): void {
    const known = headsNeeded(events).flatMap((key) => this.heads.get(channelKeyOf(key)) ?? []);
    const changes = foldBatch(events, known);
    for (const [key, row] of changes.teams) this.teams.set(key, row);
    for (const [key, row] of changes.teamMembers) this.teamMembers.set(key, row);
    for (const [key, row] of changes.channels) {
      this.channels.set(key, row);
      if (!this.heads.has(key))
        this.heads.set(key, { teamId: row.teamId, channelId: row.channelId, ...noMessage });
    }
    this.#endMemberships(changes);
    for (const [key, row] of changes.channelMembers) {
      this.channelMembers.set(key, row);
      const keys = this.#ofMember.get(memberKeyOf(row));
      if (keys) keys.add(key);
      else this.#ofMember.set(memberKeyOf(row), new Set([key]));
    }
    for (const [key, row] of changes.readMarks) this.readMarks.set(key, row);
    for (const row of changes.messages) this.#addMessage(row);
    for (const [key, head] of changes.heads) this.heads.set(key, head);
    this.#checkBound();
  }

  /** As both stores do: ends first, then begins. */
  #endMemberships({ teamRemovals, channelRemovals }: Changes): void {
    const end = (key: string, seq: number, again: boolean): void => {
      const row = this.channelMembers.get(key);
      if (row && row.seq < seq && (again || !row.removed))
        this.channelMembers.set(key, { ...row, removed: true, seq });
    };
    for (const [member, { seq }] of teamRemovals)
      for (const key of this.#ofMember.get(member) ?? []) end(key, seq, false);
    for (const [key, { seq }] of channelRemovals) end(key, seq, true);
  }

  #addMessage(row: MessageRow): void {
    const { teamId, channelId, channelSeq, countedSeq, seq } = row;
    const key = channelKeyOf(row);
    let messages = this.messages.get(key);
    if (!messages) {
      const head = { teamId, channelId, ...noMessage };
      messages = { teamId, channelId, ranges: [], hash: createHash('md5'), count: 0, head };
      this.messages.set(key, messages);
    }
    const index = rangeOf(channelSeq);
    let range = messages.ranges[index];
    if (!range) {
      const before = messages.ranges.at(-1);
      if (before) before.digest = messages.hash.digest('hex');
      messages.hash = createHash('md5');
      range = { range: index, start: messages.head, afterSeq: seq - 1, lastSeq: seq, count: 0, digest: '' };
      messages.ranges.push(range);
    }
    messages.hash.update(messageDigest(row));
    messages.head = { teamId, channelId, lastChannelSeq: channelSeq, countedSeq, seq };
    messages.count += 1;
    range.count += 1;
    range.lastSeq = seq;
  }

  /** To be called before digests are compared: that of the last range of a channel still grows. */
  sealDigests(): void {
    for (const { ranges, hash } of this.messages.values()) {
      const last = ranges.at(-1);
      if (last) last.digest = hash.copy().digest('hex');
    }
  }

  #checkBound(): void {
    const count = this.teamMembers.size + this.channelMembers.size + this.readMarks.size + this.channels.size;
    if (count > STATE_MAX_COUNT)
      throw new Fault('DRIFT_TOO_LARGE', `partition ${this.scope.partition} is to be checked team by team`);
  }
}

const noMessage = { lastChannelSeq: 0, countedSeq: 0, seq: 0 } as const;

/** The rows of one range of messages, from the log up to where `expected` stands. */
export const readRange = async (
  log: DriftLog,
  expected: ExpectedState,
  key: ChannelKey,
  index: number,
): Promise<readonly MessageRow[]> => {
  const range = expected.range(key, index);
  if (!range) return [];
  const scope: DriftScope = { partition: expected.scope.partition, teamId: key.teamId as TeamId };
  const rows: MessageRow[] = [];
  let head = range.start;
  for (let after = range.afterSeq; after < range.lastSeq;) {
    const { events, reachedSeq } = await log.read(scope, after, range.lastSeq, key);
    const changes = foldBatch(events, [head]);
    rows.push(...changes.messages);
    head = changes.heads.get(channelKeyOf(key)) ?? head;
    after = reachedSeq;
  }
  return rows;
};
