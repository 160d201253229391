/**
 * Which processes a start has made, so that the next one can end what a killed starter left behind.
 *
 * A pid alone proves nothing (it may be another program's by now): a record holds the time the process began as well,
 * and only a process with both is ended.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { delay } from '@chat/testkit/servers/ports';
import { localPaths, readJson, writeJson } from './local-state.ts';

export type ProcessRecord = { readonly name: string; readonly pid: number; readonly beganAt: string };

const END_GRACE_MS = 10_000;

/** Changes with every process and boot; undefined: no such process. */
export const processBeganAt = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined; // dead, only not yet waited for
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${fields[19] ?? ''}`;
  } catch {
    if (process.platform === 'linux') return undefined;
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
};

export const isRecordAlive = (record: ProcessRecord): boolean =>
  record.beganAt !== '' && processBeganAt(record.pid) === record.beganAt;

const recordOf = (name: string, pid: number): ProcessRecord => ({
  name,
  pid,
  beganAt: processBeganAt(pid) ?? '',
});

export type ProcessRecords = {
  readonly put: (name: string, pid: number) => void;
  readonly clear: () => void;
};

/** Writes the file at every change, synchronously: a kill right after a spawn finds the child recorded. */
export const createProcessRecords = (): ProcessRecords => {
  const records = new Map<string, ProcessRecord>();
  return {
    put: (name, pid) => {
      records.set(name, recordOf(name, pid));
      writeJson(localPaths.processes, [...records.values()]);
    },
    clear: () => rmSync(localPaths.processes, { force: true }),
  };
};

const signalQuietly = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch {
    // gone already
  }
};

const servers: readonly string[] = ['nats', 'postgres', 'mongod'];

/** PostgreSQL shuts down fast on SIGINT; apps and NATS are built to be killed. A stopped one is woken first. */
const endRecorded = async (record: ProcessRecord): Promise<void> => {
  signalQuietly(record.pid, 'SIGCONT');
  signalQuietly(record.pid, record.name === 'postgres' ? 'SIGINT' : 'SIGTERM');
  if (!servers.includes(record.name)) signalQuietly(record.pid, 'SIGKILL');
  const deadline = Date.now() + END_GRACE_MS;
  while (isRecordAlive(record)) {
    if (Date.now() > deadline) signalQuietly(record.pid, 'SIGKILL');
    await delay(20);
  }
};

/** Ends what an earlier starter that is gone left running. Answers the names. */
export const endLeftovers = async (): Promise<readonly string[]> => {
  const alive = (readJson<readonly ProcessRecord[]>(localPaths.processes) ?? []).filter(isRecordAlive);
  // Apps before the servers they talk to.
  const rank = ({ name }: ProcessRecord): number => (servers.includes(name) ? 1 : 0);
  for (const record of alive.toSorted((a, b) => rank(a) - rank(b))) await endRecorded(record);
  rmSync(localPaths.processes, { force: true });
  return alive.map(({ name }) => name);
};

type LockHolder = ProcessRecord & { readonly isStopping?: boolean };

export type HeldLock = {
  /** Told to a next starter: it waits instead of refusing. */
  readonly markStopping: () => void;
  readonly release: () => void;
};
export type Lock =
  | ({ readonly kind: 'taken' } & HeldLock)
  | { readonly kind: 'held'; readonly pid: number; readonly isStopping: boolean };

/** One starter per checkout. A lock whose holder is gone is taken over. */
export const takeLock = (): Lock => {
  const own = recordOf('starter', process.pid);
  for (;;) {
    try {
      const file = openSync(localPaths.lock, 'wx', 0o600);
      writeSync(file, JSON.stringify(own));
      closeSync(file);
      return {
        kind: 'taken',
        markStopping: () => writeJson(localPaths.lock, { ...own, isStopping: true }),
        release: () => rmSync(localPaths.lock, { force: true }),
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readJson<LockHolder>(localPaths.lock);
    if (holder && isRecordAlive(holder))
      return { kind: 'held', pid: holder.pid, isStopping: holder.isStopping ?? false };
    rmSync(localPaths.lock, { force: true });
  }
};
