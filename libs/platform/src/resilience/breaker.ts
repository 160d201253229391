/**
 * A circuit breaker on cockatiel, one for each client of a database (acceptance R6.1).
 *
 * States: closed → open (10 consecutive failures, or half of at least 30 calls within 30 s) → half-open (after 30 s, or
 * as soon as a probe says that the server answers again) → closed (5 successes, one after another) or open again.
 * Open: `run` fails at once with UnavailableFault. Half-open: five calls at a time are let through as trials, any other fails at once.
 * What counts as a failure is the caller's word: trouble of the server, never a refusal or bad values.
 *
 * The open time is measured here by a clock that cannot be stepped; cockatiel's, which can, is made to let through.
 */

import { performance } from 'node:perf_hooks';
import {
  CircuitState,
  ConsecutiveBreaker,
  type IBreaker,
  SamplingBreaker,
  circuitBreaker,
  handleWhen,
} from 'cockatiel';
import { UnavailableFault } from '../faults.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { publishBreaker } from './breaker-metrics.ts';

export type BreakerState = 'closed' | 'half_open' | 'open';

export type BreakerOptions = {
  /** For logs and metrics, e.g. `api-postgres`. */
  readonly name: string;
  readonly isFailure: (error: unknown) => boolean;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
  /** Monotonic milliseconds. */
  readonly nowMs?: () => number;
  readonly onOpen?: () => void;
};

export type Breaker = {
  run<T>(fn: () => Promise<T>): Promise<T>;
  state(): BreakerState;
  /** A probe got an answer: trials may begin now. Does nothing unless open. */
  allowTrials(): void;
};

const CONSECUTIVE_MAX_COUNT = 10;
/** cockatiel asks for *more* than this. */
const FAILED_SHARE = 0.499;
const SAMPLING_MS = 30_000;
const SAMPLING_MIN_PER_SECOND = 1;
const OPEN_MS = 30_000;
const TRIAL_COUNT = 5;
const NEVER_WAIT_MS = -1e15;

const stateNames: Readonly<Record<CircuitState, BreakerState>> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.HalfOpen]: 'half_open',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
};

/** Opens when either does. */
const eitherOf = (breakers: readonly IBreaker[]): IBreaker => ({
  state: undefined,
  success: (state) => breakers.forEach((breaker) => breaker.success(state)),
  // Both must hear of it: no short cut.
  failure: (state) => breakers.map((breaker) => breaker.failure(state)).includes(true),
});

export const createBreaker = (options: BreakerOptions): Breaker => {
  const { name, isFailure, log, metrics, nowMs = () => performance.now(), onOpen } = options;
  const policy = circuitBreaker(handleWhen(isFailure), {
    breaker: eitherOf([
      new ConsecutiveBreaker(CONSECUTIVE_MAX_COUNT),
      new SamplingBreaker({
        threshold: FAILED_SHARE,
        duration: SAMPLING_MS,
        minimumRps: SAMPLING_MIN_PER_SECOND,
      }),
    ]),
    halfOpenAfter: NEVER_WAIT_MS,
    halfOpenSampling: { calls: TRIAL_COUNT, threshold: 0 },
  });
  const state = (): BreakerState => stateNames[policy.state];
  const published = metrics && publishBreaker(metrics, name, state);
  let trialsFromMs = 0;
  /** Begun since it became half-open; cockatiel would let further ones wait, without a bound. */
  let trialCount = 0;
  policy.onStateChange((next) => {
    const to = stateNames[next];
    published?.moved(to);
    if (to === 'half_open') trialCount = 0;
    if (to === 'open') trialsFromMs = nowMs() + OPEN_MS;
    const line = { breaker: name, to };
    if (to === 'open') log.error(line, 'breaker opened: the server is not asked for a while');
    else log.warn(line, 'breaker changed');
    if (to === 'open') onOpen?.();
  });

  const isRefused = (): boolean =>
    policy.state === CircuitState.Open
      ? nowMs() < trialsFromMs
      : policy.state === CircuitState.HalfOpen && trialCount >= TRIAL_COUNT;

  return {
    state,
    allowTrials: () => {
      if (policy.state === CircuitState.Open) trialsFromMs = nowMs();
    },
    run: (fn) => {
      if (isRefused())
        return Promise.reject(new UnavailableFault(`${name} is not asked while its breaker is ${state()}`));
      return policy.execute(() => {
        if (policy.state === CircuitState.HalfOpen) trialCount += 1;
        return fn();
      });
    },
  };
};
