/** One process of an app, started as in production: its own environment, nothing of this process's. */

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Exit, spawnChild } from '../servers/child-process.ts';
import { delay } from '../servers/ports.ts';
import type { ServerHandle } from '../servers/server-handle.ts';

export type AppName = 'gateway' | 'writer' | 'projector' | 'api';
/** `source`: the TypeScript, by type stripping; `dist`: what `tsc -b` made. */
export type AppCode = 'source' | 'dist';
export type AppEnvironment = Readonly<Record<string, string>>;

export type AppSpec = {
  readonly app: AppName;
  readonly env: AppEnvironment;
  readonly from: AppCode;
  readonly onLine?: (line: string) => void;
  /** Told the pid of every process it starts, at once. */
  readonly onPid?: (pid: number) => void;
  /** Default `main`: another entry beside it, for example `migrate`. */
  readonly entry?: string;
  /** For the runtime, for example `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
  /** Default 35 s: the app's own grace (design: 30 s) and a little more. */
  readonly stopGraceMs?: number;
};

export type AppProcess = {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** Resolves when /health/readiness answers 200. Throws when the process ends or the time is over. */
  readonly ready: (timeoutMs?: number) => Promise<void>;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly pause: () => void;
  readonly resume: () => void;
  /** SIGTERM, and SIGKILL after `graceMs`. */
  readonly stop: (graceMs?: number) => Promise<Exit>;
  readonly tail: () => readonly string[];
  readonly exit: () => Exit | undefined;
};

const STOP_GRACE_MS = 35_000;
const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 25;

export const repositoryRoot = resolve(fileURLToPath(import.meta.url), '../../../../..');

export const healthUrlOf = (env: AppEnvironment): string =>
  `http://${env.HEALTH_HOST ?? '127.0.0.1'}:${env.HEALTH_PORT}`;

type Probe = { readonly isReady: boolean; readonly answer: string };

const probe = async (url: string): Promise<Probe> => {
  try {
    const response = await fetch(`${url}/health/readiness`, { signal: AbortSignal.timeout(2000) });
    return { isReady: response.ok, answer: await response.text() };
  } catch (error) {
    return { isReady: false, answer: error instanceof Error ? error.message : String(error) };
  }
};

export const spawnApp = async (spec: AppSpec): Promise<AppProcess> => {
  const entry = spec.entry ?? 'main';
  const isSource = spec.from === 'source';
  const file = resolve(repositoryRoot, 'apps', spec.app, isSource ? `src/${entry}.ts` : `dist/${entry}.js`);
  const flags = isSource ? ['--conditions=@chat/source', '--disable-warning=ExperimentalWarning'] : [];
  const child = await spawnChild({
    // This process runs under the Node that the repository brings, whoever started it.
    command: process.execPath,
    args: ['--enable-source-maps', ...flags, ...(spec.nodeArgs ?? []), file],
    cwd: repositoryRoot,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TZ: 'UTC', ...spec.env },
    // A parent killed with -9 must not leave an app that holds a port for its 30 s of drain.
    deathSignal: 'KILL',
    ...(spec.onLine ? { onLine: spec.onLine } : {}),
    ...(spec.onPid ? { onPid: spec.onPid } : {}),
  });
  const describe = (): string => child.tail().slice(-15).join('\n');
  return {
    pid: child.pid,
    exited: child.exited,
    exit: child.exit,
    tail: child.tail,
    kill: child.signal,
    pause: () => child.signal('SIGSTOP'),
    resume: () => child.signal('SIGCONT'),
    stop: (graceMs = spec.stopGraceMs ?? STOP_GRACE_MS) => {
      child.signal('SIGCONT');
      return child.end('SIGTERM', graceMs);
    },
    ready: async (timeoutMs = READY_TIMEOUT_MS) => {
      const deadline = Date.now() + timeoutMs;
      for (;;) {
        const exit = child.exit();
        if (exit) {
          await child.exited;
          throw new Error(
            `${spec.app} ended before it was ready (${exit.code ?? exit.signal}):\n${describe()}`,
          );
        }
        const { isReady, answer } = await probe(healthUrlOf(spec.env));
        if (isReady) return;
        if (Date.now() > deadline)
          throw new Error(`${spec.app} was not ready within ${timeoutMs} ms: ${answer}\n${describe()}`);
        await delay(READY_POLL_MS);
      }
    },
  };
};

export type AppHandle = Omit<ServerHandle, 'port'> & {
  readonly healthUrl: string;
  readonly env: AppEnvironment;
  readonly ready: (timeoutMs?: number) => Promise<void>;
};

/** An app that can be started again and again with the same environment. Begins stopped; `start` does not wait for ready. */
export const createAppHandle = (spec: AppSpec): AppHandle => {
  let current: AppProcess | undefined;
  let earlier: readonly string[] = [];
  const isRunning = (): boolean => current !== undefined && !current.exit();
  const start = async (): Promise<void> => {
    if (isRunning()) return;
    earlier = current?.tail() ?? [];
    current = await spawnApp(spec);
  };
  const stop = async (): Promise<void> => {
    if (isRunning()) await current?.stop();
  };
  return {
    env: spec.env,
    healthUrl: healthUrlOf(spec.env),
    get pid() {
      return current?.pid ?? 0;
    },
    start,
    stop,
    kill: async () => {
      current?.kill('SIGKILL');
      await current?.exited;
    },
    pause: () => current?.pause(),
    resume: () => current?.resume(),
    restart: async () => {
      await stop();
      await start();
    },
    exited: async () => {
      await current?.exited;
    },
    isRunning,
    ready: async (timeoutMs) => {
      if (!current) throw new Error(`${spec.app} was not started`);
      await current.ready(timeoutMs);
    },
    // The lines before the last start too: they say why it died.
    tail: () => [...earlier, ...(current?.tail() ?? [])],
    [Symbol.asyncDispose]: stop,
  };
};
