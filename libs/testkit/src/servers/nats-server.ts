/**
 * One nats-server with the accounts of deploy/nats on loopback.
 *
 * States: stopped → starting → running ⇄ paused → stopped. A server that was started without a port takes a
 * free one and keeps it for every later start, so that clients find it again.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, spawnChild } from './child-process.ts';
import { findNatsServer, type Say } from './nats-binary.ts';
import { delay, freePort, isPortFree } from './ports.ts';
import { ServerFault } from './server-fault.ts';
import type { ServerHandle } from './server-handle.ts';

export const natsRoles = ['gateway', 'writer', 'projector', 'api', 'ops', 'system'] as const;
export type NatsRole = (typeof natsRoles)[number];
export type NatsCredentials = { readonly user: string; readonly password: string };
export type NatsCredentialsByRole = Readonly<Record<NatsRole, NatsCredentials>>;

export type NatsServerOptions = {
  readonly dataDir: string;
  /** Default: chosen by the system. A taken port is the fault PORT_TAKEN. */
  readonly port?: number;
  readonly binary?: string;
  /** Default: new random passwords. Give the stored ones where clients outlive the server. */
  readonly credentials?: NatsCredentialsByRole;
  readonly configFile?: string;
  readonly extraArgs?: readonly string[];
  readonly onLine?: (line: string) => void;
  /** Told the pid of every process it starts, at once. */
  readonly onPid?: (pid: number) => void;
  readonly say?: Say;
};

export type NatsServer = ServerHandle & {
  readonly url: string;
  /** Monitoring (`/healthz`, `/varz`, `/jsz`); changes with `restart`. */
  readonly monitorUrl: string;
  readonly dataDir: string;
  readonly credentials: NatsCredentialsByRole;
};

const START_TIMEOUT_MS = 20_000;
const STOP_GRACE_MS = 10_000;
/** For a port of its own choice that another process took first. */
const START_TRY_COUNT = 5;
/** A restarted server may find its port in TIME_WAIT or still held by the process that was just killed. */
const PORT_WAIT_MS = 5_000;

export const defaultNatsConfig = (): string =>
  resolve(fileURLToPath(import.meta.url), '../../../../../deploy/nats/nats-server.conf');

/** They begin with a letter: the configuration reads an environment variable as a value, and 12e4 is a number. */
export const newNatsCredentials = (): NatsCredentialsByRole =>
  Object.fromEntries(
    natsRoles.map((role) => [role, { user: role, password: `p${randomBytes(16).toString('hex')}` }]),
  ) as unknown as NatsCredentialsByRole;

export const natsPasswordEnv = (credentials: NatsCredentialsByRole): Record<string, string> =>
  Object.fromEntries(
    natsRoles.map((role) => [`NATS_${role.toUpperCase()}_PASSWORD`, credentials[role].password]),
  );

type Ports = { readonly client: number; readonly monitor: number };

const portOf = (urls: readonly string[] | undefined): number => Number(new URL(urls?.[0] ?? '').port);

const readPorts = async (file: string): Promise<Ports | undefined> => {
  try {
    const ports = JSON.parse(await readFile(file, 'utf8')) as { nats?: string[]; monitoring?: string[] };
    return { client: portOf(ports.nats), monitor: portOf(ports.monitoring) };
  } catch {
    return undefined; // not there yet, or half written
  }
};

const isHealthy = async (monitor: number): Promise<boolean> => {
  try {
    const response = await fetch(`http://127.0.0.1:${monitor}/healthz`, {
      signal: AbortSignal.timeout(2000),
    });
    return response.ok;
  } catch {
    return false;
  }
};

/**
 * After a write error (a full disk) nats-server stores nothing more in that stream, says so in its health, and answers no
 * publish, also when there is room again: seen on 2.15. Its other complaints pass (a store being read, no leader yet).
 */
const neverHeals = /write error/i;

const needsRestart = async (monitor: number): Promise<boolean | undefined> => {
  try {
    const response = await fetch(`http://127.0.0.1:${monitor}/healthz`, {
      signal: AbortSignal.timeout(2000),
    });
    return !response.ok && neverHeals.test(await response.text());
  } catch {
    return undefined; // busy, paused, or gone
  }
};

const faultOf = (tail: readonly string[], port: number): ServerFault => {
  const text = tail.join('\n');
  if (text.includes('address already in use'))
    return new ServerFault(
      'PORT_TAKEN',
      `Port ${port} (NATS) is taken. Stop what listens there or choose another port.`,
    );
  if (/no space left/i.test(text))
    return new ServerFault('NO_SPACE', 'No disk space left for the NATS store.');
  return new ServerFault('EXITED', `nats-server ended while starting: ${tail.slice(-3).join(' | ')}`);
};

const waitUntilReady = async (child: Child, portsFile: string, port: number): Promise<Ports> => {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (child.exit()) {
      await child.exited;
      throw faultOf(child.tail(), port);
    }
    const ports = await readPorts(portsFile);
    // Healthy means that JetStream has recovered its streams, not only that the port is open.
    if (ports && (await isHealthy(ports.monitor))) return ports;
    // It is up and froze a stream by its first write: waiting does not help, and the next try may find room.
    if (ports && (await needsRestart(ports.monitor))) {
      await child.end('SIGTERM', STOP_GRACE_MS);
      throw new ServerFault('NO_SPACE', 'nats-server cannot write to its store.');
    }
    await delay(20);
  }
  await child.end('SIGKILL', 0);
  throw new ServerFault('START_TIMEOUT', `nats-server was not ready within ${START_TIMEOUT_MS} ms.`);
};

const waitForFreePort = async (port: number): Promise<void> => {
  const deadline = Date.now() + PORT_WAIT_MS;
  while (!(await isPortFree(port))) {
    if (Date.now() > deadline) throw faultOf(['address already in use'], port);
    await delay(50);
  }
};

/** Starts nats-server. Throws ServerFault. */
export const startNats = async (options: NatsServerOptions): Promise<NatsServer> => {
  const binary = options.binary ?? (await findNatsServer(options.say));
  const credentials = options.credentials ?? newNatsCredentials();
  const dataDir = resolve(options.dataDir);
  // Beside the data: a server whose disk is full can write nothing there, and starts all the same.
  const portsDir = `${dataDir}.ports`;
  let port = options.port;
  let monitor = 0;
  let child: Child | undefined;
  let isPaused = false;

  const launch = async (at: number): Promise<void> => {
    await rm(portsDir, { recursive: true, force: true });
    await mkdir(portsDir, { recursive: true });
    const args = ['-c', options.configFile ?? defaultNatsConfig(), '-a', '127.0.0.1', '-sd', dataDir];
    args.push('-p', String(at), '-m', '-1', '--ports_file_dir', portsDir, ...(options.extraArgs ?? []));
    const started = await spawnChild({
      command: binary,
      args,
      env: { PATH: process.env.PATH, HOME: dataDir, ...natsPasswordEnv(credentials) },
      ...(options.onLine ? { onLine: options.onLine } : {}),
      ...(options.onPid ? { onPid: options.onPid } : {}),
    });
    child = started;
    isPaused = false;
    const ports = await waitUntilReady(started, join(portsDir, `nats-server_${started.pid}.ports`), at);
    port = ports.client;
    monitor = ports.monitor;
  };
  const start = async (): Promise<void> => {
    if (child && !child.exit()) return;
    if (port !== undefined) {
      if (child) await waitForFreePort(port);
      return launch(port);
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await launch(await freePort());
      } catch (error) {
        const isCollision = error instanceof ServerFault && error.code === 'PORT_TAKEN';
        if (!isCollision || attempt === START_TRY_COUNT) throw error;
      }
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (isPaused) child?.signal('SIGCONT');
    isPaused = false;
    if (child && !child.exit()) await child.end(signal, STOP_GRACE_MS);
    await rm(portsDir, { recursive: true, force: true });
  };
  const stop = (): Promise<void> => end('SIGTERM');

  await start();
  return {
    get url() {
      return `nats://127.0.0.1:${port}`;
    },
    get monitorUrl() {
      return `http://127.0.0.1:${monitor}`;
    },
    get port() {
      return port ?? 0;
    },
    get pid() {
      return child?.pid ?? 0;
    },
    dataDir,
    credentials,
    start,
    stop,
    kill: () => end('SIGKILL'),
    pause: () => {
      isPaused = true;
      child?.signal('SIGSTOP');
    },
    resume: () => {
      isPaused = false;
      child?.signal('SIGCONT');
    },
    restart: async () => {
      await stop();
      await start();
    },
    exited: async () => {
      await child?.exited;
    },
    isRunning: () => child !== undefined && !child.exit(),
    needsRestart: () => needsRestart(monitor),
    tail: () => child?.tail() ?? [],
    [Symbol.asyncDispose]: stop,
  };
};
