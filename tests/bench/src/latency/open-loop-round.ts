/** One open-loop round: a client process of its own; the processes' clocks are read at both ends of the measured time. */

import { cpuUs, machineBusyUs } from '../cpu.ts';
import { type CpuClocks, LOAD_CLIENT, forkBenchProcess } from '../measure.ts';
import type { FromOpenLoop, OpenLoopPlan, OpenLoopResult, ToOpenLoop } from './open-loop-plan.ts';

export type OpenLoopRound = {
  readonly load: OpenLoopResult;
  /** CPU µs a message, by process. */
  readonly cpuUsPerMessage: Readonly<Record<string, number>>;
  readonly othersCores: number;
};

export const runOpenLoop = async (plan: OpenLoopPlan, clocks: CpuClocks): Promise<OpenLoopRound> => {
  const child = forkBenchProcess('./latency/open-loop-client.ts');
  const tell = (message: ToOpenLoop): void => void child.send(message);
  const read = () => ({
    used: { ...clocks(), [LOAD_CLIENT]: cpuUs(child.pid!) } as Readonly<Record<string, number>>,
    machineUs: machineBusyUs(),
  });
  let before = read();
  let after = before;
  try {
    const load = await new Promise<OpenLoopResult>((resolve, reject) => {
      child.on('exit', (code) => reject(new Error(`the open-loop client ended early (${code})`)));
      child.on('message', (raw) => {
        const message = raw as FromOpenLoop;
        if (message.kind === 'connected') tell({ kind: 'go' });
        else if (message.kind === 'measuring') before = read();
        else if (message.kind === 'measured') after = read();
        else if (message.kind === 'failed') reject(new Error(`open-loop client: ${message.reason}`));
        else resolve(message.result);
      });
      tell({ kind: 'plan', plan });
    });
    const used = Object.entries(after.used).map(
      ([name, us]) => [name, us - (before.used[name] ?? 0)] as const,
    );
    const ownUs = used.reduce((sum, [, us]) => sum + us, 0);
    return {
      load,
      cpuUsPerMessage: Object.fromEntries(used.map(([name, us]) => [name, us / load.messageCount])),
      othersCores: Math.max(0, after.machineUs - before.machineUs - ownUs) / (load.seconds * 1e6),
    };
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL');
  }
};
