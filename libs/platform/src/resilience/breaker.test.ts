import { describe, expect, it, vi } from 'vitest';
import { OverloadedFault, UnavailableFault } from '../faults.ts';
import { createLogger } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import { createBreaker } from './breaker.ts';
import { createGuard } from './guard.ts';

const log = createLogger({ app: 'test', instance: 'breaker', level: 'silent' });
class Down extends Error {}
const isFailure = (error: unknown): boolean => error instanceof Down;
const fails = (): Promise<never> => Promise.reject(new Down('down'));
const works = (): Promise<string> => Promise.resolve('fine');

const newBreaker = () => {
  let ms = 0;
  const metrics = createMetrics();
  const breaker = createBreaker({ name: 'db', isFailure, log, metrics, nowMs: () => ms });
  const times = async (count: number, fn: () => Promise<unknown>): Promise<void> => {
    for (let n = 0; n < count; n += 1) await breaker.run(fn).catch(() => undefined);
  };
  return { breaker, metrics, times, pass: (passedMs: number) => (ms += passedMs) };
};

describe('a breaker', () => {
  it('opens after 10 failures one after another, not after 9, and then asks nobody', async () => {
    const { breaker, times } = newBreaker();
    await times(9, fails);
    await times(1, works);
    await times(9, fails);
    expect(breaker.state()).toBe('closed');
    await times(1, fails);
    expect(breaker.state()).toBe('open');
    const asked = vi.fn(works);
    await expect(breaker.run(asked)).rejects.toBeInstanceOf(UnavailableFault);
    expect(asked).not.toHaveBeenCalled();
  });

  it('opens when half of the calls of 30 s fail, though never ten in a row', async () => {
    const { breaker, times } = newBreaker();
    for (let n = 0; n < 14; n += 1) {
      await times(1, works);
      await times(1, fails);
    }
    expect(breaker.state()).toBe('closed');
    for (let n = 0; n < 2; n += 1) {
      await times(1, works);
      await times(1, fails);
    }
    expect(breaker.state()).toBe('open');
  });

  it('does not count what is no trouble of the server', async () => {
    const { breaker, times } = newBreaker();
    await times(100, () => Promise.reject(new Error('bad value')));
    expect(breaker.state()).toBe('closed');
    await expect(breaker.run(() => Promise.reject(new Error('bad value')))).rejects.toThrow('bad value');
  });

  it('is half-open after 30 s and closes with the fifth success, not before', async () => {
    const { breaker, times, pass } = newBreaker();
    await times(10, fails);
    pass(29_999);
    await expect(breaker.run(works)).rejects.toBeInstanceOf(UnavailableFault);
    pass(1);
    await times(4, works);
    expect(breaker.state()).toBe('half_open');
    await times(1, works);
    expect(breaker.state()).toBe('closed');
  });

  it('opens for another 30 s when a trial fails', async () => {
    const { breaker, times, pass } = newBreaker();
    await times(10, fails);
    pass(30_000);
    await times(4, works);
    await times(1, fails);
    expect(breaker.state()).toBe('open');
    pass(29_999);
    await expect(breaker.run(works)).rejects.toBeInstanceOf(UnavailableFault);
  });

  it('lets five trials through at once and refuses any other, without a wait', async () => {
    const { breaker, times, pass } = newBreaker();
    await times(10, fails);
    pass(30_000);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const trials = Array.from({ length: 5 }, () => breaker.run(() => held));
    await expect(breaker.run(works)).rejects.toBeInstanceOf(UnavailableFault);
    release();
    await Promise.all(trials);
    expect(breaker.state()).toBe('closed');
  });

  it('tells its state and its transitions', async () => {
    const { metrics, times, pass } = newBreaker();
    await times(10, fails);
    expect(await metrics.registry.metrics()).toContain('chat_breaker_state{breaker="db"} 2');
    pass(30_000);
    await times(5, works);
    const text = await metrics.registry.metrics();
    expect(text).toContain('chat_breaker_state{breaker="db"} 0');
    for (const to of ['open', 'half_open', 'closed'])
      expect(text).toContain(`chat_breaker_transitions_total{breaker="db",to="${to}"} 1`);
  });
});

describe('a guard', () => {
  const newGuard = (probe: () => Promise<unknown>) =>
    createGuard({
      name: 'db',
      isFailure,
      log,
      activeMaxCount: 2,
      waitingMaxCount: 3,
      probe,
      probeEveryMs: 10,
    });

  it('lets so many run and so many wait, and refuses any other at once', async () => {
    const guard = newGuard(works);
    let running = 0;
    let mostRunning = 0;
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const call = () =>
      guard.run(async () => {
        mostRunning = Math.max(mostRunning, (running += 1));
        await held;
        running -= 1;
      });
    const calls = Array.from({ length: 5 }, call);
    await expect(call()).rejects.toBeInstanceOf(OverloadedFault);
    release();
    await Promise.all(calls);
    expect(mostRunning).toBe(2);
    await expect(guard.run(works)).resolves.toBe('fine');
    await guard.stop();
  });

  it('closes by its own probes soon after the server answers again, though nobody else asks', async () => {
    let isDown = true;
    const guard = newGuard(() => (isDown ? fails() : works()));
    for (let n = 0; n < 10; n += 1) await guard.run(fails).catch(() => undefined);
    expect(guard.state()).toBe('open');
    isDown = false;
    await vi.waitFor(() => expect(guard.state()).toBe('closed'), { timeout: 5_000, interval: 5 });
    await guard.stop();
  });
});
