import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { onceAsync } from './service.ts';

const program = fileURLToPath(new URL('./testing/service-process.ts', import.meta.url));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

type Run = {
  readonly child: ChildProcess;
  lines(): string[];
  line(match: string): Promise<string>;
  exited: Promise<number | null>;
};

const run = (mode: string): Run => {
  const child = spawn(process.execPath, ['--conditions=@chat/source', program, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let text = '';
  const waiting: { match: string; resolve: (line: string) => void }[] = [];
  const lines = (): string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
  child.stdout!.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    for (const { match, resolve } of waiting) {
      const found = lines().find((line) => line.startsWith(match));
      if (found !== undefined) resolve(found);
    }
  });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const line = (match: string): Promise<string> =>
    new Promise((resolve, reject) => {
      waiting.push({ match, resolve });
      void exited.then(() => reject(new Error(`ended without a line ${match}: ${text}`)));
    });
  return { child, lines, line, exited };
};

describe('runService', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'drains, stops and exits 0 on %s, and is not ready meanwhile',
    async (signal) => {
      const { child, line, lines, exited } = run('plain');
      await line('started');
      child.kill(signal);
      expect(await exited).toBe(0);
      expect(lines().slice(1)).toEqual(['drain true readiness 503', 'stop']);
    },
  );

  it('exits 1 when stopping takes longer than its deadline', async () => {
    const { child, line, exited } = run('stuck');
    await line('started');
    child.kill('SIGTERM');
    expect(await exited).toBe(1);
  });

  it('exits 1 at once on a second signal', async () => {
    const { child, line, exited } = run('second-signal');
    await line('started');
    child.kill('SIGTERM');
    await line('stop');
    const signalledMs = performance.now();
    child.kill('SIGTERM');
    expect(await exited).toBe(1);
    expect(performance.now() - signalledMs).toBeLessThan(5_000);
  });

  it.each(['throws', 'rejects'])(
    'stops without a drain and exits 1 when something %s outside of any handler',
    async (mode) => {
      const { lines, exited } = run(mode);
      expect(await exited).toBe(1);
      expect(lines().slice(1)).toEqual(['stop']);
    },
  );

  it('stops what was started and exits 1 when the start fails', async () => {
    const { lines, exited } = run('start-fails');
    expect(await exited).toBe(1);
    expect(lines()).toEqual(['stop']);
  });

  it('exits 1 when the stop fails', async () => {
    const { child, line, exited } = run('stop-fails');
    await line('started');
    child.kill('SIGTERM');
    expect(await exited).toBe(1);
  });
});

describe('onceAsync', () => {
  it('runs once, and concurrent and later calls share its result', async () => {
    let calls = 0;
    const start = onceAsync(async () => ++calls);
    expect(await Promise.all([start(), start()])).toEqual([1, 1]);
    expect(await start()).toBe(1);
  });

  it('turns a synchronous throw into a rejection', async () => {
    const start = onceAsync(() => {
      throw new Error('sync');
    });
    await expect(start()).rejects.toThrow('sync');
  });
});
