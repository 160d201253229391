import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { spawnChild } from './child-process.ts';
import { delay } from './ports.ts';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('a child process', () => {
  it('dies with its parent, however that ends', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'chat-child-'));
    const file = join(folder, 'pid');
    const source = `
      const { spawnChild } = await import(${JSON.stringify(new URL('./child-process.ts', import.meta.url).href)});
      const { writeFileSync } = await import('node:fs');
      const child = await spawnChild({ command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'], deathSignal: 'KILL' });
      writeFileSync(${JSON.stringify(file)}, String(child.pid));
      process.kill(process.pid, 'SIGKILL');
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'ignore' });
    await once(parent, 'exit');
    const pid = Number(await readFile(file, 'utf8'));
    const deadline = Date.now() + 10_000;
    while (isAlive(pid) && Date.now() < deadline) await delay(10);
    expect(isAlive(pid)).toBe(false);
    await rm(folder, { recursive: true, force: true });
  });

  it('tells its end and its last lines, and is killed when it ignores the request to end', async () => {
    const source = `process.on('SIGTERM', () => console.log('not yet')); console.log('begun'); setInterval(() => {}, 1000)`;
    let hasBegun: () => void = () => {};
    const begun = new Promise<void>((resolve) => (hasBegun = resolve));
    const child = await spawnChild({
      command: process.execPath,
      args: ['-e', source],
      onLine: () => hasBegun(),
    });
    await begun;
    expect(await child.end('SIGTERM', 300)).toEqual({ code: null, signal: 'SIGKILL' });
    expect(child.tail()).toEqual(['begun', 'not yet']);
  });
});
