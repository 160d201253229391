/** The small form of `--only projection`: no timing is asserted, but every event is projected and each figure is there. */

import { expect, it } from 'vitest';
import { projectionOn } from './projection-bench.ts';
import { projectionReport } from './projection.ts';

const sizes = {
  channelCount: 8,
  membersPerChannelCount: 2,
  messagesPerPartitionCount: 500,
  roundCount: 1,
  lagMs: 500,
};

it('a backlog is projected, the same rows are written raw, and the lag under load is measured', async () => {
  const result = await projectionOn('postgres', sizes, () => undefined);
  expect(result.ratio.core).toBeGreaterThan(0);
  expect(result.ratio.both).toBeGreaterThan(0);
  for (const { p50Ms, p99Ms } of Object.values(result.lag)) expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  expect(projectionReport('postgres', result)).not.toContain('NaN');
}, 90_000);
