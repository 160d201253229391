/** SIGSTOP of one process: it holds its sockets, its lease and its locks, and says nothing; then it goes on as if nothing had been. */

import { readFileSync } from 'node:fs';
import type { Injection, Nemesis } from '../nemesis.ts';
import { pick } from '../random.ts';
import { processesOf } from './kill.ts';

/** In turn; the end of the nemesis cuts the last one short. */
export const PAUSES_MS = [2_000, 10_000, 40_000] as const;
/** Short, so that nine seconds of CI hold a pause that outlasts the lease (4 s). */
const BETWEEN_MS = 1_000;

/** `T` while it is stopped. */
export const stateOf = (pid: number): string => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] ?? '?';
  } catch {
    return 'gone';
  }
};

const pauseOne = ({ stack, fault }: Injection, name: string, ms: number): Promise<void> => {
  const pid = stack.pid(name);
  return fault({
    target: name,
    action: `pause ${ms / 1000} s`,
    begin: async () => {
      stack.pause(name);
      return stateOf(pid) === 'T' ? [`pid ${pid} of ${name} is stopped (T)`] : [];
    },
    lastsMs: ms,
    heal: async () => {
      const before = stateOf(pid);
      stack.resume(name);
      return before === 'T' ? [`pid ${pid} of ${name} was stopped to the end, then continued`] : [];
    },
  });
};

const pauseNemesis = (kind: string, about: string, runbook: string): Nemesis => ({
  name: `pause-${kind}`,
  about,
  needs: {},
  runbook,
  run: async (injection) => {
    const { stack, signal, random, pause } = injection;
    for (let i = 0; !signal.aborted; i += 1) {
      const ms = PAUSES_MS[i % PAUSES_MS.length] ?? 2_000;
      await pauseOne(injection, pick(random, processesOf(stack, kind)), ms);
      await pause(BETWEEN_MS);
    }
  },
});

export const pauseNemeses: readonly Nemesis[] = [
  pauseNemesis(
    'writer',
    'SIGSTOP of a writer for 2, 10, 40 s; its lease passes on, its late commit is fenced.',
    'process-paused',
  ),
  pauseNemesis(
    'gateway',
    'SIGSTOP of a gateway for 2, 10, 40 s; its clients notice and resume at the other.',
    'process-paused',
  ),
  pauseNemesis('projector', 'SIGSTOP of a projector for 2, 10, 40 s; the other projects.', 'process-paused'),
  pauseNemesis('api', 'SIGSTOP of an api for 2, 10, 40 s; requests time out and go again.', 'process-paused'),
  pauseNemesis('nats', 'SIGSTOP of NATS for 2, 10, 40 s.', 'process-paused'),
  pauseNemesis('postgres', 'SIGSTOP of PostgreSQL and its backends for 2, 10, 40 s.', 'process-paused'),
];
