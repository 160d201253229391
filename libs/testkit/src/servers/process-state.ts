import { readFileSync, readdirSync } from 'node:fs';

/** True once SIGSTOP has reached every thread of the process: a thread may answer one more time before. Linux only. */
export const isStopped = (pid: number): boolean => {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
};
