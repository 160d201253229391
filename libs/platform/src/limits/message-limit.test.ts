import { describe, expect, it } from 'vitest';
import type { UserId } from '@chat/contracts/ids';
import { createMessageLimit } from './message-limit.ts';

const ann = 'ann' as UserId;
const bob = 'bob' as UserId;
const newLimit = () => createMessageLimit({ burstCount: 20, burstMs: 10_000, sustainedPerMinuteCount: 100 });

describe('the message limit', () => {
  it('lets a burst of 20 through, then says when the next one may come, and keeps its word', () => {
    const limit = newLimit();
    for (let i = 0; i < 20; i += 1) expect(limit.take(ann, 1_000)).toBe(0);
    const waitMs = limit.take(ann, 1_000);
    expect(waitMs).toBe(500);
    expect(limit.take(ann, 1_000 + waitMs - 1)).toBeGreaterThan(0);
    expect(limit.take(ann, 1_000 + waitMs)).toBe(0);
  });

  it('lets a user who never rests send 100 a minute in the long run', () => {
    const limit = newLimit();
    const perMinute: number[] = [];
    for (let minute = 0; minute < 10; minute += 1) {
      let count = 0;
      for (let ms = 0; ms < 60_000; ms += 100) if (limit.take(ann, minute * 60_000 + ms) === 0) count += 1;
      perMinute.push(count);
    }
    expect(Math.max(...perMinute)).toBeLessThanOrEqual(140); // the burst bucket: 20 and 120 that refill
    expect(perMinute.at(-1)).toBeGreaterThanOrEqual(99);
    expect(perMinute.at(-1)).toBeLessThanOrEqual(101);
  });

  it('counts users apart, and what a user sent elsewhere', () => {
    const limit = newLimit();
    expect(limit.take(ann, 0)).toBe(0);
    for (let i = 0; i < 19; i += 1) limit.seen(ann, 0);
    expect(limit.take(ann, 0)).toBeGreaterThan(0);
    for (let i = 0; i < 20; i += 1) expect(limit.take(bob, 0)).toBe(0);
    for (let i = 0; i < 100; i += 1) limit.seen(bob, 0);
    expect(limit.take(bob, 0)).toBeLessThanOrEqual(60_000); // a debt is bounded
  });

  it('a clock that steps back gives and takes nothing', () => {
    const limit = newLimit();
    for (let i = 0; i < 20; i += 1) limit.take(ann, 100_000);
    expect(limit.take(ann, 50_000)).toBeGreaterThan(0);
    expect(limit.take(ann, 50_400)).toBeGreaterThan(0);
    expect(limit.take(ann, 50_500)).toBe(0);
  });
});
