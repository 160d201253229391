/**
 * `npm start` as a newcomer and an operator meet it: every process is a real one, the starter is killed, stopped and
 * started again. Data is in a folder of the test's own (with a blank in its name); the build is the checkout's.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChannelsResponse, DevTokenResponse } from '@chat/contracts/http';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { isPortFree } from '@chat/testkit/servers/ports';
import { eventually } from '@chat/testkit/checking/eventually';

type StackFile = {
  readonly api: string;
  readonly gateways: readonly string[];
  readonly teamId: string;
  readonly pids: Readonly<Record<string, number>>;
};
type Starter = {
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
};

/** The first one may have to build everything. */
const FIRST_START_MAX_MS = 180_000;
const START_MAX_MS = 60_000;

/** What a second start may take on a machine that does nothing else; more, by its load, on one that does. */
const secondStartMaxMs = (): number => 10_000 * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());

let folder: string;
let portsFrom: number;
const starters: Starter[] = [];

const freeBlock = async (): Promise<number> => {
  for (let from = 10_000; from < 12_000; from += 20) {
    const ports = Array.from({ length: 10 }, (_, i) => from + i);
    if ((await Promise.all(ports.map((port) => isPortFree(port)))).every(Boolean)) return from;
  }
  throw new Error('no free block of ports');
};

const npmStart = (args: readonly string[] = []): Starter => {
  const child = spawn(
    process.execPath,
    [join(repositoryRoot, 'tools/start.mjs'), '--ports-from', String(portsFrom), ...args],
    {
      env: { ...process.env, CHAT_LOCAL_DIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const starter = { process: child, output: () => output, ended };
  starters.push(starter);
  return starter;
};

const ready = async (starter: Starter, timeoutMs: number): Promise<number> => {
  const startedAtMs = Date.now();
  await eventually(
    'the line that begins with ready',
    () => {
      if (starter.process.exitCode !== null) throw new Error(`it ended:\n${starter.output()}`);
      return Promise.resolve(/^ready/m.test(starter.output()) || undefined);
    },
    { timeoutMs },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${starter.output()}`, { cause: error });
  });
  return Date.now() - startedAtMs;
};

const stackFile = async (): Promise<StackFile> =>
  JSON.parse(await readFile(join(folder, 'stack.json'), 'utf8')) as StackFile;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const channelsOf = async (user: string): Promise<ChannelsResponse> => {
  const { api, teamId } = await stackFile();
  const headers = { 'content-type': 'application/json' };
  const minted = await fetch(`${api}/dev/token`, { method: 'POST', headers, body: JSON.stringify({ user }) });
  const { token } = (await minted.json()) as DevTokenResponse;
  const response = await fetch(`${api}/api/v1/channels?teamId=${teamId}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  if (!response.ok) throw new Error(`channels: ${response.status} ${await response.text()}`);
  return (await response.json()) as ChannelsResponse;
};

const names = (response: ChannelsResponse): readonly (string | undefined)[] =>
  response.channels.map(({ name }) => name).toSorted();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat start '));
  portsFrom = await freeBlock();
});

afterAll(async () => {
  for (const { process: child, ended } of starters) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
});

describe('npm start', () => {
  it(
    'brings up every process with the demo team, and says where everything is',
    async () => {
      const starter = npmStart();
      await ready(starter, FIRST_START_MAX_MS);
      const { pids, gateways } = await stackFile();
      expect(Object.keys(pids).toSorted()).toEqual(
        [
          'api-1',
          'gateway-1',
          'gateway-2',
          'nats',
          'postgres',
          'projector-1',
          'starter',
          'writer-1',
        ].toSorted(),
      );
      for (const [name, pid] of Object.entries(pids)) expect(isAlive(pid), name).toBe(true);
      expect(gateways).toHaveLength(2);
      await eventually('alice sees her channels', async () => {
        expect(names(await channelsOf('alice'))).toEqual(['founders', 'general', 'random']);
        return true;
      });
      // carol is no member of the private channel
      await eventually('carol sees hers', async () => {
        expect(names(await channelsOf('carol'))).toEqual(['general', 'random']);
        return true;
      });
      expect(starter.output()).toMatch(/^ready in [\d.]+ s/m);
    },
    FIRST_START_MAX_MS + 30_000,
  );

  it('is refused in one sentence while it runs already', async () => {
    const second = npmStart();
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain('already runs from this checkout');
  });

  it('starts a child again that was killed, says so, and tells its new pid', async () => {
    const starter = starters[0];
    const before = (await stackFile()).pids['gateway-1'] ?? 0;
    process.kill(before, 'SIGKILL');
    const after = await eventually('another gateway-1', async () => {
      const pid = (await stackFile()).pids['gateway-1'];
      return pid !== before ? pid : undefined;
    });
    expect(isAlive(after)).toBe(true);
    expect(starter?.output()).toMatch(/gateway-1 has died; it is started again in 0\.5 s/);
    expect(starter?.output()).toContain(`gateway-1 runs again (pid ${after})`);
  });

  it(
    'comes up again after kill -9 of the starter, with all data, in less than 10 s',
    async () => {
      const before = await stackFile();
      process.kill(before.pids.starter ?? 0, 'SIGKILL');
      await starters[0]?.ended;
      const next = npmStart();
      expect(await ready(next, START_MAX_MS)).toBeLessThan(secondStartMaxMs());
      const after = await stackFile();
      expect(after.teamId).toBe(before.teamId);
      expect(names(await channelsOf('alice'))).toEqual(['founders', 'general', 'random']);
      for (const [name, pid] of Object.entries(before.pids)) expect(isAlive(pid), `old ${name}`).toBe(false);
    },
    START_MAX_MS + 10_000,
  );

  it(
    'stops by itself when the entry is killed, and the next start waits for that',
    async () => {
      const before = await stackFile();
      const entry = starters.at(-1);
      entry?.process.kill('SIGKILL');
      await eventually('its stop has begun', async () => {
        const lock = await readFile(join(folder, 'starter.lock'), 'utf8').catch(() => 'gone');
        return lock === 'gone' || lock.includes('isStopping');
      });
      await ready(npmStart(), START_MAX_MS);
      for (const [name, pid] of Object.entries(before.pids)) expect(isAlive(pid), `old ${name}`).toBe(false);
    },
    START_MAX_MS + 10_000,
  );

  it('stops everything in order on Ctrl-C and leaves no process', async () => {
    const { pids } = await stackFile();
    const starter = starters.at(-1);
    if (!starter) throw new Error('nothing runs');
    // Twice, as a terminal and npm do together.
    starter.process.kill('SIGINT');
    starter.process.kill('SIGINT');
    expect(await starter.ended).toBe(0);
    for (const [name, pid] of Object.entries(pids)) expect(isAlive(pid), name).toBe(false);
    const order = [...starter.output().matchAll(/^ {2}stop (.*): /gm)].map(([, name]) => name);
    expect(order).toEqual([
      'gateway-1 and gateway-2',
      'api-1',
      'writer-1',
      'projector-1',
      'nats',
      'postgres',
    ]);
  });

  it('names a taken port and what to do', async () => {
    const server = createServer().listen(portsFrom + 1, '127.0.0.1');
    await once(server, 'listening');
    const starter = npmStart();
    expect(await starter.ended).toBe(1);
    expect(starter.output()).toContain(`Port ${portsFrom + 1} is taken`);
    server.close();
  });

  it(
    'starts anew with --reset',
    async () => {
      const before = await stackFile();
      const starter = npmStart(['--reset']);
      await ready(starter, START_MAX_MS);
      expect((await stackFile()).teamId).not.toBe(before.teamId);
      starter.process.kill('SIGTERM');
      expect(await starter.ended).toBe(0);
    },
    START_MAX_MS + 10_000,
  );
});
