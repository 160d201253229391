import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../checking/eventually.ts';
import { mountSmallDisk, whyNoSmallDisk } from './small-disk.ts';

const reason = await whyNoSmallDisk();
const SIZE_BYTES = 4 * 1024 * 1024;

const isMounted = async (dir: string): Promise<boolean> =>
  (await readFile('/proc/mounts', 'utf8')).includes(` ${dir} `);

describe.skipIf(reason !== undefined)(`a small disk${reason ? ` (${reason})` : ''}`, () => {
  let dir = '';
  beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'chat-disk-test-'))));
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('is full to the last byte, stays so when something is removed, and has room again after it', async () => {
    const disk = await mountSmallDisk({ dir, sizeBytes: SIZE_BYTES });
    try {
      await writeFile(join(dir, 'old'), Buffer.alloc(1024 * 1024));
      await disk.fill();
      expect(await disk.freeBytes()).toBe(0);
      await expect(writeFile(join(dir, 'new'), 'x')).rejects.toThrow('ENOSPC');
      await rm(join(dir, 'old'));
      await eventually('what became free is taken', async () => (await disk.freeBytes()) === 0);
      await disk.release();
      expect(await disk.freeBytes()).toBeGreaterThan(SIZE_BYTES - 64 * 1024);
      await writeFile(join(dir, 'new'), 'x');
    } finally {
      await disk.stop();
    }
    expect(await isMounted(dir)).toBe(false);
  });

  it('is unmounted also when the process that made it is killed', async () => {
    const source = `
      const { mountSmallDisk } = await import(${JSON.stringify(new URL('./small-disk.ts', import.meta.url).href)});
      const disk = await mountSmallDisk({ dir: ${JSON.stringify(dir)}, sizeBytes: ${SIZE_BYTES} });
      await disk.fill();
      console.log('full');
      setInterval(() => {}, 1000);
    `;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(owner.stdout, 'data');
    expect(await isMounted(dir)).toBe(true);
    owner.kill('SIGKILL');
    await eventually('it is unmounted', async () => !(await isMounted(dir)));
  });
});
