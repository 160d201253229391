/** A log-linear histogram of microseconds: 32 buckets an octave (≤ 2.2 % error), constant memory, no allocation. */

const BUCKETS_PER_OCTAVE = 32;
const OCTAVES = 36;

export type Histogram = {
  record(valueUs: number): void;
  count(): number;
  /** Upper bound of the bucket that holds the `fraction` quantile, in milliseconds; NaN when empty. */
  quantileMs(fraction: number): number;
  reset(): void;
};

export const createHistogram = (): Histogram => {
  const buckets = new Uint32Array(BUCKETS_PER_OCTAVE * OCTAVES);
  let total = 0;
  return {
    record(valueUs) {
      const index = valueUs < 1 ? 0 : Math.floor(Math.log2(valueUs) * BUCKETS_PER_OCTAVE);
      const at = index < buckets.length ? index : buckets.length - 1;
      buckets[at] = (buckets[at] ?? 0) + 1;
      total += 1;
    },
    count: () => total,
    quantileMs(fraction) {
      if (total === 0) return Number.NaN;
      const rank = Math.max(1, Math.ceil(total * fraction));
      let seen = 0;
      for (let index = 0; index < buckets.length; index += 1) {
        seen += buckets[index] ?? 0;
        if (seen >= rank) return 2 ** ((index + 1) / BUCKETS_PER_OCTAVE) / 1000;
      }
      return Number.NaN;
    },
    reset() {
      buckets.fill(0);
      total = 0;
    },
  };
};
