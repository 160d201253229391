import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { ChannelId } from '@chat/contracts/ids';
import { type Membership, type MembershipChange, applyChange } from '../membership/membership-events.ts';
import { type ChangeAt, type Interval, visibleIntervals } from './membership-intervals.ts';

const c = (name: string): ChannelId => name as ChannelId;
const joined = (seq: number, channel: string): ChangeAt => ({
  seq,
  change: { kind: 'joined', channelId: c(channel) },
});
const left = (seq: number, channel: string): ChangeAt => ({
  seq,
  change: { kind: 'left', channelId: c(channel) },
});

const intervalsOf = (
  from: number,
  to: number,
  atEnd: Record<string, number>,
  changes: ChangeAt[],
  channel: string,
): readonly Interval[] | undefined => {
  const result = visibleIntervals(
    from,
    to,
    new Map(Object.entries(atEnd).map(([k, v]) => [c(k), v])),
    changes,
  );
  if (!result.ok) throw new Error('not told');
  return result.channels.get(c(channel));
};

describe('visible intervals', () => {
  it('a member all along sees the whole range', () => {
    expect(intervalsOf(10, 20, { a: 5 }, [], 'a')).toEqual([{ afterSeq: 10, upToSeq: 20 }]);
  });
  it('who joined within sees what came after', () => {
    expect(intervalsOf(10, 20, { a: 15 }, [joined(15, 'a')], 'a')).toEqual([{ afterSeq: 15, upToSeq: 20 }]);
  });
  it('who was removed within sees what came before', () => {
    expect(intervalsOf(10, 20, {}, [left(15, 'a')], 'a')).toEqual([{ afterSeq: 10, upToSeq: 14 }]);
  });
  it('who was removed and added again gets nothing of the time between', () => {
    expect(intervalsOf(10, 20, { a: 17 }, [left(13, 'a'), joined(17, 'a')], 'a')).toEqual([
      { afterSeq: 10, upToSeq: 12 },
      { afterSeq: 17, upToSeq: 20 },
    ]);
  });
  it('who came and went within sees only that time', () => {
    expect(intervalsOf(10, 20, {}, [joined(12, 'a'), left(15, 'a')], 'a')).toEqual([
      { afterSeq: 12, upToSeq: 14 },
    ]);
  });
  it('joining the team within hides the team before; leaving it within cannot be told', () => {
    const joinedTeam: ChangeAt = { seq: 15, change: { kind: 'team_joined' } };
    const result = visibleIntervals(10, 20, new Map(), [joinedTeam]);
    expect(result.ok && result.team).toEqual([{ afterSeq: 15, upToSeq: 20 }]);
    expect(visibleIntervals(10, 20, new Map(), [{ seq: 15, change: { kind: 'team_left' } }]).ok).toBe(false);
  });

  it('equals, for any history and cursor, what a walk along the whole log shows', () => {
    const step = fc.tuple(fc.constantFrom('join', 'leave', 'say'), fc.constantFrom('a', 'b', 'c'));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, cursor) => {
        const membership: Membership = { isMember: true, channels: new Map() };
        const changes: ChangeAt[] = [];
        const seen: Record<string, number[]> = { a: [], b: [], c: [] };
        steps.forEach(([what, channel], i) => {
          const seq = i + 1;
          const isIn = membership.channels.has(c(channel));
          if (what === 'say' && isIn && seq > cursor) seen[channel]?.push(seq);
          if ((what === 'join' && isIn) || (what === 'leave' && !isIn) || what === 'say') return;
          const change: MembershipChange = {
            kind: what === 'join' ? 'joined' : 'left',
            channelId: c(channel),
          };
          applyChange(membership, change, seq);
          changes.push({ seq, change });
        });
        const from = Math.min(cursor, steps.length);
        const result = visibleIntervals(from, steps.length, membership.channels, changes);
        for (const channel of ['a', 'b', 'c']) {
          const intervals = result.ok ? (result.channels.get(c(channel)) ?? []) : [];
          const told = steps.flatMap(([what, of], i) => {
            const isIn = intervals.some(({ afterSeq, upToSeq }) => i + 1 > afterSeq && i + 1 <= upToSeq);
            return what === 'say' && of === channel && isIn ? [i + 1] : [];
          });
          expect(told).toEqual(seen[channel]);
        }
      }),
      { numRuns: 500 },
    );
  });
});
