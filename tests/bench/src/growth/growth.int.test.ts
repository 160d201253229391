/** The small forms of `--only latency` and `--only growth`: no timing is asserted, but nothing is lost and each figure is there. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { latencyReport, measureLatency } from '../latency/latency.ts';
import { LOAD_CLIENT } from '../measure.ts';
import { startRawTarget } from '../raw-target.ts';
import { type StackTarget, startStackTarget } from '../stack-target.ts';
import type { Target } from '../target.ts';
import { growthReport, measureGrowth } from './growth.ts';

let ours: StackTarget;
let raw: Target;
beforeAll(async () => {
  [ours, raw] = await Promise.all([startStackTarget(), startRawTarget()]);
}, 90_000);
afterAll(async () => {
  await Promise.all([ours?.stop(), raw?.stop()]);
}, 60_000);

const times = { warmupMs: 300, measureMs: 500 };

it('an open loop at half of the maximum loses nothing, and every hop of a message is measured beside it', async () => {
  const sizes = { channelCount: 4, membersPerChannelCount: 3, inFlightCount: 6, ...times };
  const result = await measureLatency(ours, raw, sizes, () => undefined);
  expect(result.faults).toEqual([]);
  expect(result.perSecond).toBe(Math.max(1, Math.round(result.maxPerSecond / 2)));
  for (const { load } of [result.ours, result.echo]) {
    expect(load.sentCount).toBeGreaterThan(10);
    expect(load.deliveredCount).toBe(load.sentCount * sizes.membersPerChannelCount);
  }
  const { hops, echo, append, commit } = result;
  expect(hops.p99Ms).toBeCloseTo(echo.load.toOwnEvent.p99Ms + 2 * append.p99Ms + commit.p99Ms);
  expect(latencyReport(result)).not.toContain('NaN');
}, 90_000);

it('what grows is measured at each size, and every message reaches every member', async () => {
  const sizes = { members: [2, 6], idleSockets: [5], channels: [3, 25], perSecond: 100, ...times };
  const rows = await measureGrowth(ours, sizes, () => undefined);
  expect(rows.map(({ what, count }) => [what, count])).toEqual([
    ['members', 2],
    ['members', 6],
    ['idle sockets', 5],
    ['channels', 3],
    ['channels', 25],
  ]);
  const membersOf = [2, 6, 10, 1, 1];
  for (const [index, { round }] of rows.entries()) {
    expect(round.load.faults).toEqual([]);
    expect(round.load.sentCount).toBe(80);
    expect(round.load.deliveredCount).toBe(80 * membersOf[index]!);
    expect(Object.keys(round.cpuUsPerMessage)).toEqual(expect.arrayContaining(['gateway', LOAD_CLIENT]));
  }
  expect(growthReport(rows, sizes.perSecond)).toContain('| channels | 25 |');
}, 120_000);
