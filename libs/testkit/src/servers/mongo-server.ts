/**
 * One mongod on loopback: a member of a replica set of its own (transactions, majority writes, elections), or of
 * a set of several that `startMongoSet` makes.
 *
 * States: stopped → starting → running ⇄ paused → stopped. The port is kept for every later start.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { type Child, spawnChild } from './child-process.ts';
import { findMongod } from './mongo-binary.ts';
import type { Say } from './nats-binary.ts';
import { delay, freePort, isPortFree } from './ports.ts';
import { ServerFault } from './server-fault.ts';
import type { ServerHandle } from './server-handle.ts';

export const MONGO_SET_NAME = 'rs0';
const START_TIMEOUT_MS = 30_000;
const STOP_GRACE_MS = 15_000;
const ALREADY_INITIALIZED = 23;

export type MongoServerOptions = {
  readonly dataDir: string;
  /** Default: a free one. A taken port is the fault PORT_TAKEN. */
  readonly port?: number;
  readonly binary?: string;
  readonly onLine?: (line: string) => void;
  readonly say?: Say;
};

export type MongoServer = ServerHandle & {
  /** Connects to the whole set. */
  readonly url: string;
};

const directUrl = (port: number): string => `mongodb://127.0.0.1:${port}/?directConnection=true`;
const setUrl = (ports: readonly number[]): string =>
  `mongodb://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/?replicaSet=${MONGO_SET_NAME}`;

const withAdmin = async <T>(
  port: number,
  use: (command: (body: object) => Promise<unknown>) => Promise<T>,
): Promise<T> => {
  const client = new MongoClient(directUrl(port), {
    serverSelectionTimeoutMS: 1_000,
    connectTimeoutMS: 1_000,
  });
  try {
    return await use((body) => client.db('admin').command(body as Record<string, unknown>));
  } finally {
    await client.close();
  }
};

const until = async (
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
      throw new ServerFault('EXITED', `mongod ended while starting: ${running.tail().slice(-3).join(' | ')}`);
    }
    await delay(50);
  }
  throw new ServerFault('START_TIMEOUT', `${what} within ${START_TIMEOUT_MS} ms.`);
};

/** The process alone; who forms the set is the caller's matter. */
const createProcess = (binary: string, port: number, options: MongoServerOptions) => {
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
    const args = [
      '--dbpath',
      options.dataDir,
      '--bind_ip',
      '127.0.0.1',
      '--port',
      String(port),
      '--replSet',
      MONGO_SET_NAME,
    ];
    args.push('--oplogSize', '64', '--wiredTigerCacheSizeGB', '0.25', '--nounixsocket');
    args.push('--setParameter', 'diagnosticDataCollectionEnabled=false');
    // Default 15 s of quiescing before a signalled shutdown.
    args.push('--setParameter', 'shutdownTimeoutMillisForSignaledShutdown=200');
    child = await spawnChild({
      command: binary,
      args,
      env: { PATH: process.env.PATH, HOME: options.dataDir },
      ...(options.onLine ? { onLine: options.onLine } : {}),
    });
    isPaused = false;
    await until(
      'mongod did not answer',
      () => child,
      () => withAdmin(port, async (command) => Boolean(await command({ ping: 1 }))),
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
type MongoProcess = ReturnType<typeof createProcess>;

const handleOf = (node: MongoProcess, url: string, start: () => Promise<void>): MongoServer => ({
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

type Hello = { readonly isWritablePrimary?: boolean; readonly primary?: string };
const helloOf = (port: number): Promise<Hello> =>
  withAdmin(port, async (command) => (await command({ hello: 1 })) as Hello);

const initiate = async (ports: readonly number[]): Promise<void> => {
  const members = ports.map((port, id) => ({
    _id: id,
    host: `127.0.0.1:${port}`,
  }));
  // Elections in a test set: seconds, not the default ten.
  const settings = { electionTimeoutMillis: 2_000, heartbeatIntervalMillis: 500 };
  await withAdmin(ports[0]!, async (command) => {
    try {
      await command({ replSetInitiate: { _id: MONGO_SET_NAME, members, settings } });
    } catch (error) {
      if ((error as { code?: number }).code !== ALREADY_INITIALIZED) throw error;
    }
  });
};

/** Starts a replica set of one. Throws ServerFault. */
export const startMongo = async (options: MongoServerOptions): Promise<MongoServer> => {
  const binary = options.binary ?? (await findMongod(options.say));
  const node = createProcess(binary, options.port ?? (await freePort()), options);
  const start = async (): Promise<void> => {
    await node.start();
    await initiate([node.port]);
    await until('mongod did not become primary', node.child, async () =>
      Boolean((await helloOf(node.port)).isWritablePrimary),
    );
  };
  await start();
  return handleOf(node, setUrl([node.port]), start);
};

export type MongoSet = {
  readonly url: string;
  readonly members: readonly MongoServer[];
  /** The member that is primary now; undefined during an election. */
  readonly primary: () => Promise<MongoServer | undefined>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
};

/** Starts a replica set of `count` members below `dataDir` (fail-over tests). Throws ServerFault. */
export const startMongoSet = async (count: number, options: MongoServerOptions): Promise<MongoSet> => {
  const binary = options.binary ?? (await findMongod(options.say));
  const nodes: MongoProcess[] = [];
  for (let i = 0; i < count; i += 1) {
    const node = createProcess(binary, await freePort(), {
      ...options,
      dataDir: join(options.dataDir, `member-${i}`),
    });
    nodes.push(node);
    await node.start();
  }
  const ports = nodes.map(({ port }) => port);
  await initiate(ports);
  const url = setUrl(ports);
  const members = nodes.map((node) => handleOf(node, url, node.start));
  const primary = async (): Promise<MongoServer | undefined> => {
    for (const member of members) {
      const hello = await helloOf(member.port).catch(() => undefined);
      if (hello?.isWritablePrimary) return member;
    }
    return undefined;
  };
  await until(
    'the replica set has no primary',
    () => undefined,
    async () => (await primary()) !== undefined,
  );
  return {
    url,
    members,
    primary,
    [Symbol.asyncDispose]: async () => {
      for (const member of [...members].reverse()) await member.stop();
    },
  };
};
