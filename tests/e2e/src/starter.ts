/** `npm start` as a process of its own, with its data in a folder of the test's own (with a blank in its name). */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChannelsResponse, DevTokenResponse } from '@chat/contracts/http';
import { eventually } from '@chat/testkit/checking/eventually';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { isPortFree } from '@chat/testkit/servers/ports';

export type StackFile = {
  readonly api: string;
  readonly gateways: readonly string[];
  readonly teamId: string;
  readonly mongodb?: string;
  readonly pids: Readonly<Record<string, number>>;
};

export type Starter = {
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
};

export type StartFolder = {
  readonly folder: string;
  readonly portsFrom: number;
  readonly npmStart: (args?: readonly string[]) => Starter;
  readonly stackFile: () => Promise<StackFile>;
  /** As the page would ask, with a token of the development issuer. */
  readonly channelsOf: (user: string) => Promise<ChannelsResponse>;
  /** Ends what was started and removes the folder. */
  readonly remove: () => Promise<void>;
};

/** The first one may have to build everything. */
export const FIRST_START_MAX_MS = 180_000;
export const START_MAX_MS = 60_000;
const PORT_COUNT = 16;

const freeBlock = async (first: number): Promise<number> => {
  for (let from = first; from < first + 2_000; from += 20) {
    const ports = Array.from({ length: PORT_COUNT }, (_, i) => from + i);
    if ((await Promise.all(ports.map((port) => isPortFree(port)))).every(Boolean)) return from;
  }
  throw new Error('no free block of ports');
};

const npmStartIn = (
  folder: string,
  portsFrom: number,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Starter => {
  const child = spawn(
    process.execPath,
    [join(repositoryRoot, 'tools/start.mjs'), '--ports-from', String(portsFrom), ...args],
    {
      env: { ...process.env, ...env, CHAT_LOCAL_DIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { process: child, output: () => output, ended };
};

/** `firstPort`: where the search for a free block begins; another one for each test file. */
export const createStartFolder = async (
  firstPort: number,
  env: NodeJS.ProcessEnv = {},
): Promise<StartFolder> => {
  const folder = await mkdtemp(join(tmpdir(), 'chat start '));
  const portsFrom = await freeBlock(firstPort);
  const starters: Starter[] = [];
  const stackFile = async (): Promise<StackFile> =>
    JSON.parse(await readFile(join(folder, 'stack.json'), 'utf8')) as StackFile;
  return {
    folder,
    portsFrom,
    npmStart: (args = []) => {
      const starter = npmStartIn(folder, portsFrom, args, env);
      starters.push(starter);
      return starter;
    },
    stackFile,
    channelsOf: async (user) => {
      const { api, teamId } = await stackFile();
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ user });
      const minted = await fetch(`${api}/dev/token`, { method: 'POST', headers, body });
      const { token } = (await minted.json()) as DevTokenResponse;
      const response = await fetch(`${api}/api/v1/channels?teamId=${teamId}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      if (!response.ok) throw new Error(`channels: ${response.status} ${await response.text()}`);
      return (await response.json()) as ChannelsResponse;
    },
    remove: async () => {
      for (const { process: child, ended } of starters) {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
        await ended;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/** How long it took until it said so. */
export const ready = async (starter: Starter, timeoutMs: number): Promise<number> => {
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

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

export const names = (response: ChannelsResponse): readonly (string | undefined)[] =>
  response.channels.map(({ name }) => name).toSorted();
