/**
 * A small file system of its own (tmpfs, so root is needed) for a server's data, which can be filled to the last byte.
 *
 * States: mounted → full ⇄ mounted → unmounted. The mount belongs to a holder process that reads from this one: however
 * this one ends, kill -9 too, the reading ends and the holder unmounts. `full` is kept by taking what becomes free, since
 * the server itself frees some (a recycled log, a purged stream) and would work on in it.
 */

import { spawn } from 'node:child_process';
import { type FileHandle, mkdir, mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { delay } from './ports.ts';
import { ServerFault } from './server-fault.ts';

export type SmallDisk = {
  readonly dir: string;
  readonly freeBytes: () => Promise<number>;
  /** Takes every free byte, and what becomes free, until `release`. Resolves when none is left. */
  readonly fill: () => Promise<void>;
  /** Gives all of it back. Idempotent. */
  readonly release: () => Promise<void>;
  /** Unmounts; what still has files open keeps them until it ends. Idempotent. */
  readonly stop: () => Promise<void>;
};

/**
 * Down to the page of a tmpfs: less than it is never free. Few large writes first: each waits for a turn of the event loop, and
 * that of a runner under load is late (640 small ones once took longer than the fault was to last).
 */
const PIECES_BYTES = [8 * 1024 * 1024, 256 * 1024, 4096] as const;
const REFILL_EVERY_MS = 20;

/** `umount -l`: a server that outlives the runner must not keep the mount. */
const HOLDER = `mount -t tmpfs -o "size=$2,mode=755" chat-small-disk "$1" || exit 1
echo mounted
cat >/dev/null
exec umount -l "$1"`;

type Holder = { readonly release: () => Promise<void> };

const hold = (dir: string, sizeBytes: number): Promise<Holder> =>
  new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', HOLDER, 'small-disk', dir, String(sizeBytes)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true, // a Ctrl-C for the runner must not reach it before the servers have ended
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-500)));
    child.stdin.on('error', () => undefined);
    const ended = new Promise<number | null>((done) => {
      child.once('error', () => done(null));
      child.once('close', done);
    });
    const release = async (): Promise<void> => {
      child.stdin.end();
      const code = await ended;
      if (code !== 0) throw new Error(`${dir} could not be unmounted: ${said.trim()}`);
    };
    child.stdout.once('data', () => resolve({ release }));
    void ended.then(() =>
      reject(new ServerFault('CANNOT_MOUNT', `A small disk needs the right to mount: ${said.trim()}`)),
    );
  });

/** The folder is made; what it had in it is covered. Throws ServerFault CANNOT_MOUNT. */
export const mountSmallDisk = async (options: {
  readonly dir: string;
  readonly sizeBytes: number;
}): Promise<SmallDisk> => {
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true });
  const holder = await hold(dir, options.sizeBytes);
  const file = join(dir, '.filler');
  const piece = Buffer.alloc(PIECES_BYTES[0]);
  let filling: { readonly stopping: AbortController; readonly done: Promise<void> } | undefined;
  let stopped: Promise<void> | undefined;

  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(dir);
    return bavail * bsize;
  };
  const fits = async (filler: FileHandle, bytes: number): Promise<boolean> => {
    try {
      return (await filler.write(piece, 0, bytes)).bytesWritten === bytes;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      return false;
    }
  };
  /** Until nothing more goes in. */
  const topUp = async (filler: FileHandle): Promise<void> => {
    for (const bytes of PIECES_BYTES) while (await fits(filler, bytes));
  };
  const keepFull = async (filler: FileHandle, { signal }: AbortController): Promise<void> => {
    try {
      while (!signal.aborted) {
        await topUp(filler);
        await delay(REFILL_EVERY_MS);
      }
    } finally {
      await filler.close();
      await rm(file, { force: true });
    }
  };
  const fill = async (): Promise<void> => {
    if (filling) return;
    const filler = await open(file, 'a', 0o600);
    const stopping = new AbortController();
    const filled = topUp(filler);
    filling = { stopping, done: filled.finally(() => keepFull(filler, stopping)) };
    filling.done.catch(() => undefined); // told by `release`
    await filled;
  };
  const release = async (): Promise<void> => {
    const current = filling;
    filling = undefined;
    current?.stopping.abort();
    await current?.done;
  };
  return {
    dir,
    freeBytes,
    fill,
    release,
    stop: () => (stopped ??= release().then(holder.release, holder.release)),
  };
};

/** Why no small disk can be had on this machine; undefined: one can. */
export const whyNoSmallDisk = async (): Promise<string | undefined> => {
  const dir = await mkdtemp(join(tmpdir(), 'chat-small-disk-'));
  try {
    await (await mountSmallDisk({ dir, sizeBytes: 1024 * 1024 })).stop();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};
