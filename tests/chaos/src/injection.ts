/** Gives a nemesis its tools and writes every fault into the history; what is broken is healed whatever happens. */

import type { FaultRecord, Injection, Proof, WorkloadHandle } from './nemesis.ts';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import type { Recorder } from './recorder.ts';

export const createInjection = (options: {
  readonly stack: ChatStack;
  readonly workload: WorkloadHandle;
  readonly recorder: Recorder;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly clockFile?: string;
}): Injection & { readonly faults: readonly FaultRecord[] } => {
  const { stack, workload, recorder, random, signal } = options;
  const faults: FaultRecord[] = [];

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done, { once: true });
    });

  const fault: Injection['fault'] = async ({ target, action, begin, lastsMs, heal }) => {
    if (signal.aborted) return;
    const proofs: Proof[] = [];
    const line = { client: target, conn: 0, op: 'fault', detail: action } as const;
    const prove = (found: readonly string[]): void => {
      for (const what of found) {
        proofs.push({ atMs: recorder.nowMs(), what });
        recorder.write({ ...line, type: 'info', text: what });
      }
    };
    const atMs = recorder.nowMs();
    recorder.write({ ...line, type: 'invoke' });
    try {
      prove(await begin());
      if (lastsMs !== undefined) await pause(lastsMs);
    } finally {
      prove(await heal());
      faults.push({ target, action, atMs, healedAtMs: recorder.nowMs(), proofs });
      recorder.write({ ...line, type: 'ok' });
    }
  };
  const { clockFile } = options;
  const clock = clockFile === undefined ? {} : { clockFile };
  return { stack, workload, ...clock, signal, random, pause, fault, faults };
};
