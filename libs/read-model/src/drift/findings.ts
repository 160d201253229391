/** What a check found: counted in full, named up to DRIFTS_MAX_COUNT, and put right up to FIXES_MAX_COUNT a pass. */

import type { TeamId } from '@chat/contracts/ids';
import type { ChannelKey } from '../fold.ts';
import { type Fix, RANGE_COUNT } from './port.ts';

export const DRIFTS_MAX_COUNT = 100;
export const FIXES_MAX_COUNT = 2_000;

export type DriftWhat = 'team' | 'membership' | 'channel' | 'head' | 'mark' | 'message';
export type DriftKind = 'missing' | 'extra' | 'differs';
export type Fields = Readonly<Record<string, string | number | boolean>>;

/** Names what is wrong; texts and names stand in it as digests only (I9). */
export type Drift = {
  readonly kind: DriftKind;
  readonly what: DriftWhat;
  readonly partition: number;
  readonly teamId: TeamId;
  /** `user`, `channel` or `user/channel`; empty for the team itself. */
  readonly key: string;
  /** Of messages: channelSeqs from … to. */
  readonly range?: { readonly from: number; readonly to: number };
  /** The fields that differ; all of them where the other side has nothing. Of more than one message: none. */
  readonly expected?: Fields;
  readonly found?: Fields;
};

export type DriftTotals = Readonly<Record<DriftWhat, Readonly<Record<DriftKind, number>>>>;
export type RowCounts = Readonly<Record<DriftWhat, { readonly expected: number; readonly found: number }>>;

const whats: readonly DriftWhat[] = ['team', 'membership', 'channel', 'head', 'mark', 'message'];
const each = <T>(make: () => T): Record<DriftWhat, T> =>
  Object.fromEntries(whats.map((what) => [what, make()])) as Record<DriftWhat, T>;

export class Findings {
  readonly totals = each(() => ({ missing: 0, extra: 0, differs: 0 }));
  readonly counts = each(() => ({ expected: 0, found: 0 }));
  readonly drifts: Drift[] = [];
  readonly #fixes = new Map<string, Fix>();
  isTruncated = false;

  add(drift: Drift, rowCount = 1): void {
    this.totals[drift.what][drift.kind] += rowCount;
    if (this.drifts.length < DRIFTS_MAX_COUNT) this.drifts.push(drift);
    else this.isTruncated = true;
  }

  fix(key: string, fix: Fix): void {
    if (this.#fixes.size < FIXES_MAX_COUNT) this.#fixes.set(key, fix);
  }

  fixes(): readonly Fix[] {
    return [...this.#fixes.values()];
  }

  rowCount(): number {
    return whats.reduce((sum, what) => {
      const { missing, extra, differs } = this.totals[what];
      return sum + missing + extra + differs;
    }, 0);
  }
}

/** Both sides of one row → what differs; undefined: nothing. */
export const compareFields = (
  expected: Fields | undefined,
  found: Fields | undefined,
): Pick<Drift, 'kind' | 'expected' | 'found'> | undefined => {
  if (!expected && !found) return undefined;
  if (!expected) return { kind: 'extra', found: found as Fields };
  if (!found) return { kind: 'missing', expected };
  const names = [...new Set([...Object.keys(expected), ...Object.keys(found)])].filter(
    (name) => expected[name] !== found[name],
  );
  if (names.length === 0) return undefined;
  const of = (fields: Fields): Fields =>
    Object.fromEntries(names.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])));
  return { kind: 'differs', expected: of(expected), found: of(found) };
};

/** First and last channelSeq of a range. */
export const boundsOfRange = (range: number): { readonly from: number; readonly to: number } => ({
  from: range * RANGE_COUNT + 1,
  to: (range + 1) * RANGE_COUNT,
});

export const rangeKeyOf = ({ teamId, channelId }: ChannelKey, range: number): string =>
  `messages/${teamId}/${channelId}/${range}`;
