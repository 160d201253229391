/** CPU time of processes and of the machine, from /proc (Linux). Resolution 10 ms: means little under a second. */

import { readFileSync } from 'node:fs';

/** `CLK_TCK` of every Linux that Node runs on. */
const TICK_US = 10_000;

type Ticks = { readonly ownUs: number; readonly waitedForUs: number };

const ticksOf = (pid: number): Ticks => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const at = (index: number): number => Number(fields[index]) * TICK_US;
    return { ownUs: at(11) + at(12), waitedForUs: at(13) + at(14) };
  } catch {
    return { ownUs: 0, waitedForUs: 0 }; // gone
  }
};

const childrenOf = (pid: number): readonly number[] => {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text.trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
};

/** User and system time of a process. */
export const cpuUs = (pid: number): number => ticksOf(pid).ownUs;

/** The same with its children, those that ended included (PostgreSQL: a process a connection). */
export const cpuWithChildrenUs = (pid: number): number => {
  const { ownUs, waitedForUs } = ticksOf(pid);
  return childrenOf(pid).reduce((sum, child) => sum + cpuWithChildrenUs(child), ownUs + waitedForUs);
};

/** Busy time of all cores since boot, whoever used it. */
export const machineBusyUs = (): number => {
  const line = readFileSync('/proc/stat', 'latin1').split('\n')[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) * TICK_US;
};
