import { spawn } from 'node:child_process';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../checking/eventually.ts';
import { startNats } from './nats-server.ts';
import { mountSmallDisk, whyNoSmallDisk } from './small-disk.ts';

const reason = await whyNoSmallDisk();
const SIZE_BYTES = 4 * 1024 * 1024;

const STORE_BYTES = 16 * 1024 * 1024;
const STORED_COUNT = 20;
const PUBLISH_TIMEOUT_MS = 300;

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

  it('once full freezes a stream of the NATS on it: only a restart helps, it says so, and nothing stored is lost', async () => {
    const disk = await mountSmallDisk({ dir, sizeBytes: STORE_BYTES });
    const nats = await startNats({ dataDir: dir });
    const { user, password: pass } = nats.credentials.ops;
    const nc = await connect({
      servers: nats.url,
      user,
      pass,
      reconnectTimeWait: 50,
      maxReconnectAttempts: -1,
    });
    const js = jetstream(nc);
    const jsm = await jetstreamManager(nc);
    const publish = (): Promise<boolean> =>
      js.publish('cmd.0.x', 'x'.repeat(2_000), { timeout: PUBLISH_TIMEOUT_MS }).then(
        () => true,
        () => false,
      );
    try {
      await jsm.streams.add({ name: 'CMD_0', subjects: ['cmd.0.>'] });
      for (let i = 0; i < STORED_COUNT; i += 1) await js.publish('cmd.0.x', 'before');
      await disk.fill();
      await eventually('it says what it needs', async () => {
        await publish();
        return nats.needsRestart?.();
      });
      await disk.release();
      expect(await publish()).toBe(false);
      await nats.restart();
      expect(await nats.needsRestart?.()).toBe(false);
      await eventually('the client is back', publish);
      expect((await jsm.streams.info('CMD_0')).state.last_seq).toBeGreaterThan(STORED_COUNT);
    } finally {
      await nc.close();
      await nats.stop();
      await disk.stop();
    }
  });
});
