import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createHistogram } from './histogram.ts';

it('a quantile is at most 2.2 % above the exact one, and never below it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 60_000_000 }), { minLength: 1, maxLength: 300 }),
      fc.double({ min: 0.001, max: 1, noNaN: true }),
      (values, fraction) => {
        const histogram = createHistogram();
        for (const value of values) histogram.record(value);
        const exactMs =
          values.sort((a, b) => a - b)[Math.max(1, Math.ceil(values.length * fraction)) - 1]! / 1000;
        const got = histogram.quantileMs(fraction);
        expect(got).toBeGreaterThanOrEqual(exactMs);
        expect(got).toBeLessThanOrEqual(exactMs * 1.0221);
      },
    ),
  );
});

it('an empty histogram has no quantile, and a reset one is empty', () => {
  const histogram = createHistogram();
  expect(histogram.quantileMs(0.5)).toBeNaN();
  histogram.record(5);
  histogram.reset();
  expect(histogram.count()).toBe(0);
  expect(histogram.quantileMs(0.5)).toBeNaN();
});
