/** One round: a load client of its own drives one server; the processes' clocks are read at both ends of the measured time. */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { machineBusyUs } from './cpu.ts';
import { cpuUs } from './cpu.ts';
import type { FromLoadClient, LoadPlan, LoadResult, ToLoadClient } from './load-plan.ts';

export type Round = {
  readonly load: LoadResult;
  /** CPU µs a message, by process. */
  readonly cpuUsPerMessage: Readonly<Record<string, number>>;
  /** Cores in use, by process, the load client among them. */
  readonly cores: Readonly<Record<string, number>>;
  /** Cores used by what is not part of the bench: how far the machine was not ours. */
  readonly othersCores: number;
};

/** Reads the CPU clock of every process that serves. */
export type CpuClocks = () => Readonly<Record<string, number>>;

export const LOAD_CLIENT = 'load client';

/** A child of this package in its own process; it ends when this process does (its channel closes). */
export const forkBenchProcess = (file: string, env: NodeJS.ProcessEnv = {}): ChildProcess =>
  fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    execArgv: ['--conditions=@chat/source', '--disable-warning=ExperimentalWarning'],
    env: { ...process.env, ...env },
  });

const minus = (after: Readonly<Record<string, number>>, before: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]));

const mapValues = (record: Readonly<Record<string, number>>, divisor: number) =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, value / divisor]));

const roundOf = (load: LoadResult, usedUs: Readonly<Record<string, number>>, machineUs: number): Round => {
  const all = Object.values(usedUs).reduce((sum, value) => sum + value, 0);
  return {
    load,
    cpuUsPerMessage: mapValues(usedUs, Math.max(1, load.messageCount)),
    cores: mapValues(usedUs, load.seconds * 1e6),
    othersCores: Math.max(0, (machineUs - all) / (load.seconds * 1e6)),
  };
};

/** Throws when the load client cannot connect or dies; what went wrong with messages is in `load.faults`. */
export const runRound = async (plan: LoadPlan, clocks: CpuClocks): Promise<Round> => {
  const child = forkBenchProcess('./load-client.ts');
  const tell = (message: ToLoadClient): void => void child.send(message);
  const readAll = () => ({ ...clocks(), [LOAD_CLIENT]: cpuUs(child.pid!) });
  let before = { used: readAll(), machine: machineBusyUs() };
  let after = before;
  try {
    const load = await new Promise<LoadResult>((resolve, reject) => {
      child.on('exit', (code) => reject(new Error(`the load client ended early (${code})`)));
      child.on('message', (raw) => {
        const message = raw as FromLoadClient;
        if (message.kind === 'connected') tell({ kind: 'go' });
        else if (message.kind === 'measuring') before = { used: readAll(), machine: machineBusyUs() };
        else if (message.kind === 'measured') after = { used: readAll(), machine: machineBusyUs() };
        else if (message.kind === 'failed') reject(new Error(`load client: ${message.reason}`));
        else resolve(message.result);
      });
      tell({ kind: 'plan', plan });
    });
    return roundOf(load, minus(after.used, before.used), after.machine - before.machine);
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL');
  }
};
