import { expect, it } from 'vitest';
import { manualClock, systemClock } from './clock.ts';

it('a manual clock only moves when told to', () => {
  const clock = manualClock(100);
  clock.advance(5);
  expect(clock.nowMs()).toBe(105);
  clock.set(7);
  expect(clock.nowMs()).toBe(7);
});

it('the system clock gives milliseconds since the Unix epoch', () => {
  expect(Math.abs(systemClock.nowMs() - Date.now())).toBeLessThan(1_000);
});
