/**
 * Messages: counts and digests of ranges first, within the snapshot; of ranges that differ the rows, as many as are
 * worth naming. The log's side of those is read after the snapshot is closed: it does not change.
 */

import { type ChannelKey, type MessageRow, channelKeyOf } from '../fold.ts';
import { shortDigest } from './digest.ts';
import { type ExpectedState, readRange } from './expected.ts';
import {
  type Drift,
  type Fields,
  type Findings,
  boundsOfRange,
  compareFields,
  rangeKeyOf,
} from './findings.ts';
import type { DriftLog, DriftView, StoredMessage } from './port.ts';

/** Ranges that are looked at row by row; the others are named as ranges. */
const DETAILED_MAX_COUNT = 50;

export type BadRange = {
  readonly key: ChannelKey;
  readonly range: number;
  readonly expectedCount: number;
  readonly foundCount: number;
  /** Undefined: not worth reading. */
  stored: readonly StoredMessage[] | undefined;
};

/** Within the snapshot. */
export const findBadRanges = async (
  view: DriftView,
  expected: ExpectedState,
  withDigests: boolean,
  findings: Findings,
): Promise<readonly BadRange[]> => {
  expected.sealDigests();
  const bad: BadRange[] = [];
  const seen = new Map<string, Set<number>>();
  const counts = findings.counts.message;
  const judge = (key: ChannelKey, range: number, foundCount: number, digest: string | undefined): void => {
    const wanted = expected.range(key, range);
    const isSame = wanted?.count === foundCount && (digest === undefined || digest === wanted.digest);
    if (!isSame) bad.push({ key, range, expectedCount: wanted?.count ?? 0, foundCount, stored: undefined });
  };
  const channels = [...expected.messages.values()];
  await view.ranges(channels, withDigests, ({ teamId, channelId, range, count, digest }) => {
    const key = { teamId, channelId };
    const name = channelKeyOf(key);
    counts.found += count;
    const ranges = seen.get(name);
    if (ranges) ranges.add(range);
    else seen.set(name, new Set([range]));
    judge(key, range, count, digest);
  });
  for (const [name, { teamId, channelId, ranges, count }] of expected.messages) {
    counts.expected += count;
    const found = seen.get(name);
    if (found?.size === ranges.length && found.has(ranges.length - 1)) continue;
    for (const { range } of ranges) if (!found?.has(range)) judge({ teamId, channelId }, range, 0, undefined);
  }
  for (const one of bad.slice(0, DETAILED_MAX_COUNT)) one.stored = await view.messages(one.key, one.range);
  return bad;
};

/** After the snapshot. */
export const nameBadRanges = async (
  log: DriftLog,
  expected: ExpectedState,
  bad: readonly BadRange[],
  findings: Findings,
): Promise<void> => {
  for (const one of bad) {
    const { key, range, stored } = one;
    if (stored) nameRows(expected, one, await readRange(log, expected, key, range), stored, findings);
    else nameRange(expected, one, findings);
    findings.fix(rangeKeyOf(key, range), { of: 'messages', ...key, range });
  }
};

const driftOf = (
  { scope }: ExpectedState,
  { key }: BadRange,
): Pick<Drift, 'what' | 'partition' | 'teamId' | 'key'> => ({
  what: 'message',
  partition: scope.partition,
  teamId: key.teamId,
  key: key.channelId,
});

const nameRange = (expected: ExpectedState, one: BadRange, findings: Findings): void => {
  const { expectedCount, foundCount, range } = one;
  const kind = foundCount === 0 ? 'missing' : expectedCount === 0 ? 'extra' : 'differs';
  findings.add(
    {
      kind,
      ...driftOf(expected, one),
      range: boundsOfRange(range),
      expected: { count: expectedCount },
      found: { count: foundCount },
    },
    Math.max(expectedCount, foundCount),
  );
};

const fieldsOf = ({ countedSeq, seq, id, actor, at, text }: MessageRow, isWhole = true): Fields => ({
  countedSeq,
  seq,
  id,
  actor,
  at,
  textDigest: shortDigest(text),
  isWhole,
});

/** Neighbours that are missing, or too many, are one drift. */
const nameRows = (
  expected: ExpectedState,
  one: BadRange,
  wanted: readonly MessageRow[],
  stored: readonly StoredMessage[],
  findings: Findings,
): void => {
  const want = new Map(wanted.map((row) => [row.channelSeq, fieldsOf(row)]));
  const have = new Map(stored.map(({ row, isWhole }) => [row.channelSeq, fieldsOf(row, isWhole)]));
  const base = driftOf(expected, one);
  let run: { kind: 'missing' | 'extra'; from: number; to: number; drift: Drift } | undefined;
  const flush = (): void => {
    if (!run) return;
    const { kind, from, to, drift } = run;
    findings.add(from === to ? drift : { kind, ...base, range: { from, to } }, to - from + 1);
    run = undefined;
  };
  for (const channelSeq of [...new Set([...want.keys(), ...have.keys()])].sort((a, b) => a - b)) {
    const difference = compareFields(want.get(channelSeq), have.get(channelSeq));
    if (run && (difference?.kind !== run.kind || channelSeq !== run.to + 1)) flush();
    if (!difference) continue;
    const drift: Drift = { ...base, ...difference, range: { from: channelSeq, to: channelSeq } };
    if (difference.kind === 'differs') findings.add(drift);
    else if (run) run.to = channelSeq;
    else run = { kind: difference.kind, from: channelSeq, to: channelSeq, drift };
  }
  flush();
};
