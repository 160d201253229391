/** A short run of a small scenario: no timing is asserted, but every message must reach every member once, in order. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runOn } from './bench.ts';
import { LOAD_CLIENT } from './measure.ts';
import { startRawTarget } from './raw-target.ts';
import type { Scenario } from './scenarios.ts';
import { startStackTarget } from './stack-target.ts';
import type { Target } from './target.ts';

const small: Scenario = {
  name: '6x5@10',
  channelCount: 6,
  membersPerChannelCount: 5,
  inFlightCount: 10,
  senders: 'apart',
  textBytes: 200,
  unit: 'messages',
  aimRatio: undefined,
  barePerSecond: undefined,
};
const deps = { measureMs: 1_500, warmupMs: 500 };

describe.each([
  ['the raw baseline', () => startRawTarget()],
  ['the real stack', () => startStackTarget()],
])('%s', (_, startTarget) => {
  let target: Target;
  beforeAll(async () => {
    target = await startTarget();
  }, 90_000);
  afterAll(() => target?.stop(), 60_000);

  it('delivers every message to every member of its channel once, in order, and says what each process used', async () => {
    const { load, cpuUsPerMessage } = await runOn(target, small, deps);
    expect(load.faults).toEqual([]);
    expect(load.messageCount).toBeGreaterThan(10);
    expect(load.expectedDeliveryCount).toBe(load.sentCount * small.membersPerChannelCount);
    expect(load.deliveredCount).toBe(load.expectedDeliveryCount);
    expect(Object.keys(cpuUsPerMessage)).toContain(LOAD_CLIENT);
  }, 90_000);
});

it.each(['lose', 'double'] as const)(
  'a server that %ss a message is found out',
  async (mischief) => {
    const target = await startRawTarget(mischief);
    try {
      const { load } = await runOn(target, small, deps);
      expect(load.faults.join()).toMatch(/of a channel came after/);
    } finally {
      await target.stop();
    }
  },
  30_000,
);
