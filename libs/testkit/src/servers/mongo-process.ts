/**
 * A mongod on loopback as a process; who forms the set is the caller's matter.
 *
 * States: stopped → starting → running ⇄ paused → stopped. The port is kept for every later start.
 */

import { mkdir } from 'node:fs/promises';
import { MongoClient } from 'mongodb';
import { type Child, spawnChild } from './child-process.ts';
import type { Say } from './nats-binary.ts';
import { delay, isPortFree } from './ports.ts';
import { ServerFault } from './server-fault.ts';
import type { ServerHandle } from './server-handle.ts';

export const MONGO_SET_NAME = 'rs0';
const START_TIMEOUT_MS = 30_000;
const STOP_GRACE_MS = 15_000;
const POLL_MS = 50;
const ALREADY_INITIALIZED = 23;
/** mongod's own: the data is of a version that it cannot read, or of one that did not end cleanly before an upgrade. */
const EXIT_NEED_UPGRADE = 62;

export type MongoServerOptions = {
  readonly dataDir: string;
  /** Default: a free one. A taken port is the fault PORT_TAKEN. */
  readonly port?: number;
  readonly binary?: string;
  readonly onLine?: (line: string) => void;
  /** Told the pid of every process it starts, at once. */
  readonly onPid?: (pid: number) => void;
  readonly say?: Say;
};

export type MongoServer = ServerHandle & {
  /** Connects to the whole set. */
  readonly url: string;
};

const directUrl = (port: number): string => `mongodb://127.0.0.1:${port}/?directConnection=true`;
export const setUrl = (ports: readonly number[]): string =>
  `mongodb://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/?replicaSet=${MONGO_SET_NAME}`;

/** A command to this member alone, whatever it is in the set. */
export const adminCommand = async <T = unknown>(
  port: number,
  body: Readonly<Record<string, unknown>>,
): Promise<T> => {
  const client = new MongoClient(directUrl(port), {
    serverSelectionTimeoutMS: 1_000,
    connectTimeoutMS: 1_000,
    socketTimeoutMS: 5_000,
  });
  try {
    return (await client.db('admin').command(body)) as T;
  } finally {
    await client.close();
  }
};

const faultOfExit = (child: Child): ServerFault => {
  if (child.exit()?.code === EXIT_NEED_UPGRADE)
    return new ServerFault(
      'EXITED',
      'The data of MongoDB was written by another version of mongod: start that version, or begin anew on an empty folder.',
    );
  const tail = child.tail().slice(-3).join(' | ');
  return new ServerFault('EXITED', `mongod ended while starting: ${tail}`);
};

export const until = async (
  what: string,
  child: () => Child | undefined,
  probe: () => Promise<boolean>,
): Promise<void> => {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (await probe().catch(() => false)) return;
    const running = child();
    if (running?.exit()) {
      await running.exited;
      throw faultOfExit(running);
    }
    await delay(POLL_MS);
  }
  throw new ServerFault('START_TIMEOUT', `${what} within ${START_TIMEOUT_MS} ms.`);
};

const argumentsOf = (dataDir: string, port: number): readonly string[] => [
  ...['--dbpath', dataDir, '--bind_ip', '127.0.0.1', '--port', String(port), '--replSet', MONGO_SET_NAME],
  ...['--oplogSize', '64', '--wiredTigerCacheSizeGB', '0.25', '--nounixsocket'],
  ...['--setParameter', 'diagnosticDataCollectionEnabled=false'],
  // Default 15 s of quiescing before a signalled shutdown.
  ...['--setParameter', 'shutdownTimeoutMillisForSignaledShutdown=200'],
];

export const createMongoProcess = (binary: string, port: number, options: MongoServerOptions) => {
  let child: Child | undefined;
  let isPaused = false;
  const start = async (): Promise<void> => {
    if (child && !child.exit()) return;
    if (!(await isPortFree(port))) {
      throw new ServerFault(
        'PORT_TAKEN',
        `Port ${port} (MongoDB) is taken. Stop what listens there or choose another port.`,
      );
    }
    await mkdir(options.dataDir, { recursive: true });
    child = await spawnChild({
      command: binary,
      args: argumentsOf(options.dataDir, port),
      env: { PATH: process.env.PATH, HOME: options.dataDir },
      ...(options.onLine ? { onLine: options.onLine } : {}),
      ...(options.onPid ? { onPid: options.onPid } : {}),
    });
    isPaused = false;
    await until(
      'mongod did not answer',
      () => child,
      async () => Boolean(await adminCommand(port, { ping: 1 })),
    );
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (!child || child.exit()) return;
    if (isPaused) child.signal('SIGCONT');
    isPaused = false;
    await child.end(signal, STOP_GRACE_MS);
  };
  return {
    port,
    child: () => child,
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => {
      isPaused = true;
      child?.signal('SIGSTOP');
    },
    resume: () => {
      isPaused = false;
      child?.signal('SIGCONT');
    },
  };
};
export type MongoProcess = ReturnType<typeof createMongoProcess>;

export const handleOf = (node: MongoProcess, url: string, start: () => Promise<void>): MongoServer => ({
  url,
  port: node.port,
  get pid() {
    return node.child()?.pid ?? 0;
  },
  start,
  stop: node.stop,
  kill: node.kill,
  pause: node.pause,
  resume: node.resume,
  restart: async () => {
    await node.stop();
    await start();
  },
  exited: async () => {
    await node.child()?.exited;
  },
  isRunning: () => node.child() !== undefined && !node.child()?.exit(),
  tail: () => node.child()?.tail() ?? [],
  [Symbol.asyncDispose]: node.stop,
});

type Hello = { readonly isWritablePrimary?: boolean };
export const isPrimary = async (port: number): Promise<boolean> =>
  Boolean((await adminCommand<Hello>(port, { hello: 1 })).isWritablePrimary);

/** Forms the set; one that is formed already stays as it is. */
export const initiate = async (ports: readonly number[]): Promise<void> => {
  const members = ports.map((port, id) => ({ _id: id, host: `127.0.0.1:${port}` }));
  // Elections in a test set: seconds, not the default ten.
  const settings = { electionTimeoutMillis: 2_000, heartbeatIntervalMillis: 500 };
  const body = { replSetInitiate: { _id: MONGO_SET_NAME, members, settings } };
  await adminCommand(ports[0]!, body).catch((error: { code?: number }) => {
    if (error.code !== ALREADY_INITIALIZED) throw error;
  });
};
