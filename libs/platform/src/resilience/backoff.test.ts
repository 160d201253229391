import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StoppedFault } from '../faults.ts';
import { backoffMs, pause, retryUntil } from './backoff.ts';

describe('backoffMs', () => {
  it('draws from 0 to min(max, base × 2^attempt), and no attempt is too many', () => {
    fc.assert(
      fc.property(
        fc.nat(5_000),
        fc.integer({ min: 1, max: 1_000 }),
        fc.nat(60_000),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempt, baseMs, maxMs, draw) => {
          const waitMs = backoffMs({ attempt, baseMs, maxMs, random: () => draw });
          expect(waitMs).toBeGreaterThanOrEqual(0);
          expect(waitMs).toBeLessThanOrEqual(Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30)));
        },
      ),
    );
    expect(backoffMs({ attempt: 3, baseMs: 100, maxMs: 10_000, random: () => 1 })).toBe(800);
    expect(backoffMs({ attempt: 9, baseMs: 100, maxMs: 10_000, random: () => 0.5 })).toBe(5_000);
  });
});

describe('retryUntil', () => {
  const policy = { baseMs: 1, maxMs: 1 };
  const never = new AbortController().signal;

  it('tries until it works and says what it waited for', async () => {
    const reasons: string[] = [];
    const result = await retryUntil(
      never,
      async (attempt) => {
        if (attempt < 3) throw new Error(`no ${attempt}`);
        return attempt;
      },
      { ...policy, onRetry: (error, attempt) => reasons.push(`${attempt}: ${(error as Error).message}`) },
    );
    expect(result).toBe(3);
    expect(reasons).toEqual(['0: no 0', '1: no 1', '2: no 2']);
  });

  it('throws the last error after the allowed attempts, and at once what is not retryable', async () => {
    let calls = 0;
    const fail = async (): Promise<never> => {
      calls++;
      throw new Error(`call ${calls}`);
    };
    await expect(retryUntil(never, fail, { ...policy, maxAttempts: 3 })).rejects.toThrow('call 3');
    await expect(retryUntil(never, fail, { ...policy, isRetryable: () => false })).rejects.toThrow('call 4');
    expect(calls).toBe(4);
  });

  it('stops in the middle of a long wait when it is told to', async () => {
    const controller = new AbortController();
    const endless = { baseMs: 1e9, maxMs: 1e9, random: () => 1, onRetry: () => controller.abort() };
    const failing = retryUntil(controller.signal, () => Promise.reject(new Error('no')), endless);
    await expect(failing).rejects.toBeInstanceOf(StoppedFault);
    await expect(retryUntil(controller.signal, () => Promise.resolve(1), policy)).rejects.toBeInstanceOf(
      StoppedFault,
    );
  });

  it('a pause ends early, without an error, when it is aborted', async () => {
    const controller = new AbortController();
    const pausing = pause(1e9, controller.signal);
    controller.abort();
    await pausing;
    await pause(1e9, controller.signal);
  });
});
