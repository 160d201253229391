/** Waits for a moment in which the machine does little besides the bench: figures of a shared machine say nothing. */

import { machineBusyUs } from './cpu.ts';
import type { CpuClocks } from './measure.ts';

const LOOK_MS = 2_000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const sum = (values: Readonly<Record<string, number>>): number =>
  Object.values(values).reduce((total, value) => total + value, 0);

export type QuietDeps = {
  readonly clocks: CpuClocks;
  /** Cores that others may use. */
  readonly othersMaxCores: number;
};

/** Cores that others use, over LOOK_MS. */
const othersCores = async (clocks: CpuClocks): Promise<number> => {
  const before = { machineUs: machineBusyUs(), ownUs: sum(clocks()) };
  const startMs = performance.now();
  await wait(LOOK_MS);
  const machineUs = machineBusyUs() - before.machineUs;
  const ownUs = sum(clocks()) - before.ownUs;
  return Math.max(0, machineUs - ownUs) / ((performance.now() - startMs) * 1000);
};

/** True when it became quiet before `deadlineMs` (of `performance.now`). */
export const waitForQuiet = async (
  { clocks, othersMaxCores }: QuietDeps,
  deadlineMs: number,
): Promise<boolean> => {
  for (;;) {
    if ((await othersCores(clocks)) <= othersMaxCores) return true;
    if (performance.now() >= deadlineMs) return false;
  }
};
