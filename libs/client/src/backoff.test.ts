import { describe, expect, it } from 'vitest';
import { RECONNECT_BASE_MS, RECONNECT_MAX_MS } from '@chat/contracts/limits';
import { backoffMs } from './backoff.ts';

const DRAW_COUNT = 20_000;
const BIN_COUNT = 20;

/** The same numbers in every run (mulberry32), so that a distribution is tested without luck. */
const seeded = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

describe('the wait before a reconnect', () => {
  it.each([0, 1, 2, 3, 4, 5, 12, 1_000_000])('is uniform from 0 to its limit at attempt %i', (attempt) => {
    const limitMs = Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** Math.min(attempt, 30));
    const random = seeded(attempt + 1);
    const bins = new Array<number>(BIN_COUNT).fill(0);
    let outsideCount = 0;
    for (let i = 0; i < DRAW_COUNT; i += 1) {
      const waitMs = backoffMs(attempt, random);
      if (!Number.isInteger(waitMs) || waitMs < 0 || waitMs >= limitMs) outsideCount += 1;
      const bin = Math.floor((waitMs / limitMs) * BIN_COUNT);
      bins[bin] = (bins[bin] ?? 0) + 1;
    }
    expect(outsideCount).toBe(0);
    // Chi-squared with 19 degrees of freedom: over 43.8 in one of a thousand uniform samples.
    const expected = DRAW_COUNT / BIN_COUNT;
    const chiSquared = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(chiSquared).toBeLessThan(43.8);
  });

  it('begins with up to 1 s and doubles up to 30 s', () => {
    const longest = [0, 1, 2, 3, 4, 5, 6].map((attempt) => backoffMs(attempt, () => 1 - 2 ** -53));
    expect(longest).toEqual([999, 1_999, 3_999, 7_999, 15_999, 29_999, 29_999]);
  });

  it('spreads ten thousand clients that lost one gateway: no tenth of the first second takes twice its share', () => {
    const random = seeded(7);
    const tenths = new Array<number>(10).fill(0);
    for (let client = 0; client < 10_000; client += 1) {
      const tenth = Math.floor(backoffMs(0, random) / 100);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    expect(Math.max(...tenths)).toBeLessThan(1_200);
  });
});
