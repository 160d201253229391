/**
 * Puts right what a check named: whatever stands under a fix is removed and what the log says is written, FIXES_PER_TURN
 * at a time, each turn in one transaction that keeps the projector of the partition waiting. Within it the log is read
 * on to the checkpoint that the projector will go on from, so the rows are those that it would have made: neither of the two
 * can undo the other, and doing it twice changes nothing.
 *
 * Crash points: between two turns some fixes are done; the next check names the others.
 */

import type { Changes, MessageRow } from '../fold.ts';
import { channelKeyOf } from '../fold.ts';
import type { MemberKey } from '../port.ts';
import { type DriftCheckDeps, type DriftChecked, type DriftReport, checkDrift } from './check.ts';
import { type ExpectedState, memberInChannelKeyOf, memberKeyOf, readRange } from './expected.ts';
import type { ChangedMembership, DriftLog, DriftScope, Fix } from './port.ts';

const ROWS_PER_TURN = 200;
const RANGES_PER_TURN = 4;
/** Each pass puts right up to FIXES_MAX_COUNT rows or ranges. */
const PASSES_MAX_COUNT = 50;

export type RepairReport = {
  readonly partition: number;
  /** Rows that had drifted when it began. */
  readonly foundCount: number;
  /** Rows and ranges that were written anew. */
  readonly fixCount: number;
  /** Whose memberships were put right: their values in MEMBERS may be wrong as well. */
  readonly members: readonly MemberKey[];
  /** The check after it: `driftCount` 0 means that nothing is left. */
  readonly after: DriftReport;
};

export const repairDrift = async (
  deps: DriftCheckDeps,
  scope: DriftScope,
  signal?: AbortSignal,
): Promise<RepairReport> => {
  let checked = await checkDrift(deps, scope, 'rows', signal);
  const foundCount = checked.findings.rowCount();
  const members = new Map<string, MemberKey>();
  let fixCount = 0;
  for (let pass = 0; pass < PASSES_MAX_COUNT && checked.findings.fixes().length > 0; pass += 1) {
    fixCount += await applyFixes(deps, checked, members, signal);
    checked = await checkDrift(deps, scope, 'rows', signal);
  }
  return {
    partition: scope.partition,
    foundCount,
    fixCount,
    members: [...members.values()],
    after: checked.report,
  };
};

const applyFixes = async (
  { store, log }: DriftCheckDeps,
  { findings, expected, report }: DriftChecked,
  members: Map<string, MemberKey>,
  signal: AbortSignal | undefined,
): Promise<number> => {
  const all = findings.fixes();
  const ranges = all.filter((fix) => fix.of === 'messages');
  const rows = all.filter((fix) => fix.of !== 'messages');
  let count = 0;
  for (const turn of [...chunks(rows, ROWS_PER_TURN), ...chunks(ranges, RANGES_PER_TURN)]) {
    signal?.throwIfAborted();
    const known = await readRanges(log, expected, turn);
    const isDone = await store.exclusively(expected.scope.partition, async (writer) => {
      const { checkpoint } = writer;
      const isSame = report.kind === 'checked' && checkpoint?.epoch === report.epoch;
      // Set back or of another epoch since: what is known says nothing about it.
      if (!checkpoint || !isSame || checkpoint.seq < expected.seq) return false;
      await expected.advance(log, checkpoint.seq);
      const messages = await readRanges(log, expected, turn, known);
      await writer.replace(turn, changesOf(expected, turn, messages), changedMembers(expected, turn));
      return true;
    });
    if (!isDone) break;
    count += turn.length;
    for (const fix of turn)
      if (fix.of === 'team_member' || fix.of === 'channel_member') members.set(memberKeyOf(fix), fix);
  }
  return count;
};

const chunks = <T>(all: readonly T[], count: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / count) }, (_, at) => all.slice(at * count, (at + 1) * count));

type RangeRows = { readonly lastSeq: number; readonly rows: readonly MessageRow[] };

/** Of the ranges among the fixes; those that have not grown since `known` are not read again. */
const readRanges = async (
  log: DriftLog,
  expected: ExpectedState,
  fixes: readonly Fix[],
  known: ReadonlyMap<Fix, RangeRows> = new Map(),
): Promise<ReadonlyMap<Fix, RangeRows>> => {
  const read = new Map<Fix, RangeRows>();
  for (const fix of fixes) {
    if (fix.of !== 'messages') continue;
    const lastSeq = expected.range(fix, fix.range)?.lastSeq ?? 0;
    const before = known.get(fix);
    if (before?.lastSeq === lastSeq) read.set(fix, before);
    else read.set(fix, { lastSeq, rows: await readRange(log, expected, fix, fix.range) });
  }
  return read;
};

/** What is to stand under the fixes; what is not in it is to be gone. */
const changesOf = (
  expected: ExpectedState,
  fixes: readonly Fix[],
  messages: ReadonlyMap<Fix, RangeRows>,
): Changes => {
  const pick = <R>(of: Fix['of'], rows: ReadonlyMap<string, R>, keyOf: (fix: never) => string) =>
    new Map(
      fixes.flatMap((fix): [string, R][] => {
        if (fix.of !== of) return [];
        const key = keyOf(fix as never);
        const row = rows.get(key);
        return row === undefined ? [] : [[key, row]];
      }),
    );
  return {
    teams: pick('team', expected.teams, ({ teamId }: { teamId: string }) => teamId),
    teamMembers: pick('team_member', expected.teamMembers, memberKeyOf),
    channels: pick('channel', expected.channels, channelKeyOf),
    heads: pick('channel', expected.heads, channelKeyOf),
    channelMembers: pick('channel_member', expected.channelMembers, memberInChannelKeyOf),
    readMarks: pick('read_mark', expected.readMarks, memberInChannelKeyOf),
    messages: [...messages.values()].flatMap(({ rows }) => rows),
    teamRemovals: new Map(),
    channelRemovals: new Map(),
  };
};

const changedMembers = (expected: ExpectedState, fixes: readonly Fix[]): readonly ChangedMembership[] => {
  const changed = new Map<string, ChangedMembership>();
  for (const fix of fixes) {
    if (fix.of !== 'team_member' && fix.of !== 'channel_member') continue;
    const { teamId, userId } = fix;
    changed.set(memberKeyOf(fix), { teamId, userId, seq: expected.changedSeq(fix) });
  }
  return [...changed.values()];
};
