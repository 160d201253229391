import { expect, it, vi } from 'vitest';
import { BatchPlan } from './batch/batch-plan.ts';
import { commitBatchStatement, commitBatchValues } from './batch/commit-batch.ts';
import { createRig } from './testing/writer-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

const TTL_MS = 4_000;

/** Moves the positions of both partitions by one event number, and writes nothing else. */
const planOf = (...parts: readonly { p: number; expected: number }[]): BatchPlan => {
  const plan = new BatchPlan();
  for (const { p, expected } of parts)
    plan.parts.set(p, {
      p,
      ownerEpoch: 1,
      expected,
      next: expected + 1,
      cmdSeq: expected,
      cmdMark: () => 'x',
      events: [],
    });
  return plan;
};

it.each([
  [
    'one partition: its own commit in doubt came through after all',
    [{ p: 0, expected: 1 }],
    [{ p: 0, expected: 1 }],
    '0',
  ],
  [
    'another owner is further',
    [
      { p: 0, expected: 1 },
      { p: 1, expected: 1 },
    ],
    [
      { p: 0, expected: 2 },
      { p: 1, expected: 7 },
    ],
    '1',
  ],
])(
  'a commit that does not stand at the expected position is fenced, never taken for bad values: %s',
  async (_, before, again, lost) => {
    const rig = await createRig({ partitionCount: 2 });
    await rig.query(`UPDATE partition SET owner = 'w', owner_epoch = 1`);
    const commit = (plan: BatchPlan): Promise<unknown[]> =>
      rig.query(commitBatchStatement.text, commitBatchValues(plan, 'w', TTL_MS));
    await commit(planOf(...before));
    await expect(commit(planOf(...again))).rejects.toMatchObject({ code: 'CH001', detail: lost });
  },
);
