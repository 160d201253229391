/**
 * Client storage in a file: written whole beside it, then renamed over it, so that a crash leaves the old
 * text or the new one. One process at a time: a lock file names its owner, and a second terminal of the same
 * user gets no storage (undefined) rather than the first one's commands.
 */

import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { ClientStorage } from '@chat/client/storage';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

const ownerOf = (lockFile: string): number | undefined => {
  try {
    const pid = Number(readFileSync(lockFile, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
};

const takeLock = (lockFile: string): boolean => {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const file = openSync(lockFile, 'wx', 0o600);
      writeSync(file, String(process.pid));
      closeSync(file);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const owner = ownerOf(lockFile);
      if (owner !== undefined && isAlive(owner)) return false;
      // Its owner is gone without letting it go.
      rmSync(lockFile, { force: true });
    }
  }
  return false;
};

export type FileStorage = ClientStorage & { readonly release: () => void };

/** Undefined when another live process holds the file. */
export const openFileStorage = (path: string): FileStorage | undefined => {
  mkdirSync(dirname(path), { recursive: true });
  const lockFile = `${path}.lock`;
  if (!takeLock(lockFile)) return undefined;
  return {
    load: () => {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    save: (text) => {
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
    release: () => rmSync(lockFile, { force: true }),
  };
};
