import type { UserId } from '@chat/contracts/ids';
import { describe, expect, it } from 'vitest';
import { createRequestLimit } from './request-limit.ts';
import { USERS_MAX_COUNT } from './user-table.ts';

const ann = 'ann' as UserId;
const bob = 'bob' as UserId;

describe('the request limit', () => {
  it('takes as many as a minute has, then says when the next may come, and keeps its word', () => {
    const limit = createRequestLimit(1_000);
    const taken = Array.from({ length: 1_000 }, () => limit.take(ann, 5_000));
    expect(taken.every(({ waitMs }) => waitMs === 0)).toBe(true);
    expect(taken.map(({ remainingCount }) => remainingCount)).toEqual(taken.map((_, n) => 999 - n));
    const refused = limit.take(ann, 5_000);
    expect(refused).toEqual({ waitMs: 60, remainingCount: 0, fullInMs: 60_000 });
    expect(limit.take(ann, 5_059).waitMs).toBeGreaterThan(0);
    expect(limit.take(ann, 5_060).waitMs).toBe(0);
    expect(limit.take(bob, 5_000).waitMs).toBe(0);
  });

  it('lets a user who never rests make 1,000 a minute in the long run', () => {
    const limit = createRequestLimit(1_000);
    const takenIn = (minute: number): number => {
      let count = 0;
      for (let ms = 0; ms < 60_000; ms += 10)
        if (limit.take(ann, minute * 60_000 + ms).waitMs === 0) count += 1;
      return count;
    };
    expect(takenIn(0)).toBeLessThanOrEqual(2_000); // a full bucket, and what refills meanwhile
    for (const minute of [1, 2, 3]) {
      const count = takenIn(minute);
      expect(count).toBeGreaterThanOrEqual(999);
      expect(count).toBeLessThanOrEqual(1_001);
    }
  });

  it('counts what other processes took, as a debt of a minute at most', () => {
    const limit = createRequestLimit(10);
    limit.seen(ann, 4, 0);
    expect(limit.take(ann, 0)).toMatchObject({ waitMs: 0, remainingCount: 5 });
    limit.seen(ann, 1_000_000, 0);
    // From −10 to the first whole token.
    expect(limit.take(ann, 0).waitMs).toBe(66_000);
    expect(limit.take(ann, 66_000).waitMs).toBe(0);
  });

  it('forgets one of those longest unseen when there are too many users', () => {
    const limit = createRequestLimit(1);
    const named = (n: number) => `u${n}` as UserId;
    for (let n = 0; n < USERS_MAX_COUNT; n += 1) limit.take(named(n), n / 100);
    expect(limit.take(named(0), 1_000).waitMs).toBeGreaterThan(0);
    limit.take(named(USERS_MAX_COUNT), 1_001);
    expect(limit.take(named(0), 1_002).waitMs).toBe(0);
    expect(limit.take(named(5), 1_002).waitMs).toBeGreaterThan(0);
  });
});
