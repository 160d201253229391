/**
 * One PostgreSQL server on loopback, from the programs that come by npm.
 *
 * States: stopped → starting → running ⇄ paused → stopped. Without a port it takes a free one and keeps it for
 * every later start. A pid file left by a kill -9 is removed when no server runs on the data; a server that does
 * run there is the fault DATA_IN_USE.
 */

import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { type Child, spawnChild } from './child-process.ts';
import { delay, freePort } from './ports.ts';
import { findPostgres, type PostgresBinaries } from './postgres-binaries.ts';
import { preparePostgresData } from './postgres-data.ts';
import { ServerFault } from './server-fault.ts';
import type { ServerHandle } from './server-handle.ts';

export type PostgresServerOptions = {
  readonly dataDir: string;
  /** Default: a free one. A taken port is the fault PORT_TAKEN. */
  readonly port?: number;
  /** Default true. False for tests that need no crash safety. */
  readonly fsync?: boolean;
  /** Further `-c name=value` settings. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly onLine?: (line: string) => void;
  /** Told the pid of every process it starts, at once. */
  readonly onPid?: (pid: number) => void;
};

export type PostgresServer = ServerHandle & {
  /** Of the database `postgres`, with the credentials of the superuser. */
  readonly url: string;
  /** Where the data is: the one asked for, or another when the server's user cannot reach that. */
  readonly dataDir: string;
  /** Makes an empty database and answers its url. */
  readonly createDatabase: (name?: string) => Promise<string>;
  /** Throws when connections are left on it after 5 s; it is dropped all the same. */
  readonly dropDatabase: (name: string) => Promise<void>;
};

const START_TIMEOUT_MS = 60_000;
const STOP_GRACE_MS = 15_000;
const START_TRY_COUNT = 5;

type Running = { readonly child: Child; readonly port: number };

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** The pid of the server that runs on this data, if one does. A reused pid of another program is none. */
export const runningPostmaster = async (dataDir: string): Promise<number | undefined> => {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number(text.split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(dataDir) ? pid : undefined;
  } catch {
    return pid; // no /proc: believe the file
  }
};

const childrenOf = (pid: number): readonly number[] => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
};

const signalQuietly = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch {
    // gone already
  }
};

const faultOf = (tail: readonly string[], port: number): ServerFault => {
  const text = tail.join('\n');
  if (/could not bind|could not create any TCP/i.test(text))
    return new ServerFault(
      'PORT_TAKEN',
      `Port ${port} (PostgreSQL) is taken. Stop what listens there or choose another port.`,
    );
  if (/no space left/i.test(text))
    return new ServerFault('NO_SPACE', 'No disk space left for the PostgreSQL data.');
  if (/postmaster\.pid|shared memory block/i.test(text))
    return new ServerFault('DATA_IN_USE', 'Another PostgreSQL server still uses this data.');
  return new ServerFault('EXITED', `PostgreSQL ended while starting: ${tail.slice(-3).join(' | ')}`);
};

const query = async (url: string, sql: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
};

const waitUntilReady = async ({ child, port }: Running, url: string): Promise<void> => {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    if (child.exit()) {
      await child.exited;
      throw faultOf(child.tail(), port);
    }
    try {
      await query(url, 'select 1');
      return;
    } catch (error) {
      if (Date.now() > deadline) {
        await child.end('SIGQUIT', 1000);
        throw new ServerFault('START_TIMEOUT', `PostgreSQL was not ready within ${START_TIMEOUT_MS} ms.`, {
          cause: error,
        });
      }
    }
    await delay(30);
  }
};

/**
 * `dataDir` must be no other server's. A shared memory block of a server that was killed is gone once its
 * children have noticed: that, and a probed port that was taken meanwhile, is tried again.
 */
const launch = async (
  binaries: PostgresBinaries,
  options: PostgresServerOptions,
  dataDir: string,
  wantedPort: number | undefined,
  urlOf: (port: number) => string,
): Promise<Running> => {
  const owner = await runningPostmaster(dataDir);
  if (owner !== undefined)
    throw new ServerFault('DATA_IN_USE', `PostgreSQL (pid ${owner}) already runs on ${dataDir}.`);
  const fsync = options.fsync ?? true;
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '256MB',
    timezone: 'UTC',
    ...(fsync ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
    ...options.settings,
  };
  for (let attempt = 1; ; attempt += 1) {
    await rm(join(dataDir, 'postmaster.pid'), { force: true });
    const port = wantedPort ?? (await freePort());
    const child = await spawnChild({
      command: binaries.postgres,
      args: [
        '-D',
        dataDir,
        '-p',
        String(port),
        ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`]),
      ],
      cwd: '/',
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
      deathSignal: 'INT', // fast shutdown
      ...binaries.runAs,
      ...(options.onLine ? { onLine: options.onLine } : {}),
      ...(options.onPid ? { onPid: options.onPid } : {}),
    });
    const running = { child, port };
    try {
      await waitUntilReady(running, urlOf(port));
      return running;
    } catch (error) {
      const code = error instanceof ServerFault ? error.code : undefined;
      const isWorthAnotherTry = code === 'DATA_IN_USE' || (code === 'PORT_TAKEN' && wantedPort === undefined);
      if (!isWorthAnotherTry || attempt === START_TRY_COUNT) throw error;
      await delay(200 * attempt);
    }
  }
};

/** Starts PostgreSQL, after making its data folder if that is empty. Throws ServerFault. */
export const startPostgres = async (options: PostgresServerOptions): Promise<PostgresServer> => {
  const binaries = await findPostgres();
  const { dataDir, password } = await preparePostgresData(binaries, options.dataDir);
  const urlOf = (port: number): string => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  let running: Running | undefined;
  let pausedPids: readonly number[] = [];
  let databaseCount = 0;

  const isRunning = (): boolean => running !== undefined && !running.child.exit();
  const start = async (): Promise<void> => {
    if (isRunning()) return;
    const wantedPort = options.port ?? running?.port;
    running = await launch(binaries, options, dataDir, wantedPort, urlOf);
  };
  const resume = (): void => {
    for (const pid of pausedPids) signalQuietly(pid, 'SIGCONT');
    pausedPids = [];
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (!running || !isRunning()) return;
    const { child } = running;
    resume();
    // A crash of the machine takes the backends too; left alone they would hold the shared memory for a moment.
    const backends = signal === 'SIGKILL' ? childrenOf(child.pid) : [];
    child.signal(signal);
    for (const pid of backends) signalQuietly(pid, 'SIGKILL');
    await child.end(signal, STOP_GRACE_MS);
  };
  const stop = (): Promise<void> => end('SIGINT');
  const adminUrl = (): string => urlOf(running?.port ?? 0);

  await start();
  return {
    get url() {
      return adminUrl();
    },
    get port() {
      return running?.port ?? 0;
    },
    get pid() {
      return running?.child.pid ?? 0;
    },
    dataDir,
    start,
    stop,
    kill: () => end('SIGKILL'),
    pause: () => {
      if (!running || !isRunning()) return;
      // The postmaster first: then its list of children stands still.
      const { pid } = running.child;
      signalQuietly(pid, 'SIGSTOP');
      pausedPids = [pid, ...childrenOf(pid)];
      for (const child of pausedPids) signalQuietly(child, 'SIGSTOP');
    },
    resume,
    restart: async () => {
      await stop();
      await start();
    },
    exited: async () => {
      await running?.child.exited;
    },
    isRunning,
    tail: () => running?.child.tail() ?? [],
    createDatabase: async (name) => {
      databaseCount += 1;
      return createDatabase(adminUrl(), name ?? `db_${process.pid}_${databaseCount}`);
    },
    dropDatabase: (name) => dropDatabase(adminUrl(), name),
    [Symbol.asyncDispose]: stop,
  };
};

/** Makes an empty database on the server of `adminUrl` and answers its url. */
export const createDatabase = async (adminUrl: string, name: string): Promise<string> => {
  await query(adminUrl, `create database "${name}" template template0`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
};

/** PostgreSQL itself waits 5 s for connections that are about to end; what stays after that is a leak. */
export const dropDatabase = async (adminUrl: string, name: string): Promise<void> => {
  try {
    await query(adminUrl, `drop database if exists "${name}"`);
  } catch (error) {
    await query(adminUrl, `drop database if exists "${name}" with (force)`);
    throw new Error(`connections to ${name} were left open`, { cause: error });
  }
};
