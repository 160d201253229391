/** Time comes in through one of these, so that tests need not wait. */
export type Clock = {
  /** Milliseconds since the Unix epoch. May step; durations are measured with `performance.now()`. */
  nowMs(): number;
};

export const systemClock: Clock = { nowMs: () => Date.now() };

export type ManualClock = Clock & { advance(ms: number): void; set(ms: number): void };

/** A clock that only moves when told to. */
export const manualClock = (startMs = 1_700_000_000_000): ManualClock => {
  let now = startMs;
  return {
    nowMs: () => now,
    advance: (ms) => {
      now += ms;
    },
    set: (ms) => {
      now = ms;
    },
  };
};
