/**
 * Three nats-servers on loopback that form one cluster, each with the accounts of deploy/nats. Each is a server of its
 * own to kill, pause and start again; streams with three replicas live as long as two of them do.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { type NatsConnection, connect } from '@nats-io/transport-node';
import { findNatsServer, type Say } from './nats-binary.ts';
import {
  type NatsCredentialsByRole,
  type NatsServer,
  type NatsServerOptions,
  newNatsCredentials,
  startNats,
} from './nats-server.ts';
import { delay, freePort } from './ports.ts';
import { ServerFault } from './server-fault.ts';

export type NatsClusterOptions = {
  /** Each member has a folder below it. */
  readonly dataDir: string;
  readonly memberCount?: number;
  /** Default true: members tell clients of each other. False: a client knows the addresses it was given, links for example. */
  readonly isAdvertised?: boolean;
  readonly credentials?: NatsCredentialsByRole;
  readonly onLine?: (member: string, line: string) => void;
  readonly onPid?: (pid: number) => void;
  readonly say?: Say;
};

export type NatsMember = { readonly name: string; readonly server: NatsServer };

export type StreamPlacement = {
  /** Undefined while one is elected. */
  readonly leader: string | undefined;
  /** Followers that have every message. */
  readonly currentFollowers: readonly string[];
};

export type NatsCluster = {
  readonly members: readonly NatsMember[];
  /** The members' urls with commas between, as NATS_URL wants them. */
  readonly url: string;
  readonly credentials: NatsCredentialsByRole;
  /** Throws when no member answers, or the stream has no leader that could. */
  readonly placement: (stream: string) => Promise<StreamPlacement>;
  /** Makes the leader of a stream give way. */
  readonly stepDown: (stream: string) => Promise<void>;
  /** Resolves when every stream has a leader and all followers are current. */
  readonly settled: (timeoutMs?: number) => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
};

const MEMBER_COUNT = 3;
const START_TRY_COUNT = 3;
const REQUEST_TIMEOUT_MS = 3_000;
const SETTLED_TIMEOUT_MS = 30_000;
const SETTLED_POLL_MS = 100;

const optionsOf = (options: NatsClusterOptions, name: string): Partial<NatsServerOptions> => {
  const { onLine, onPid } = options;
  return {
    ...(onLine ? { onLine: (line: string) => onLine(name, line) } : {}),
    ...(onPid ? { onPid } : {}),
  };
};

/** All at once: none is healthy before a majority is there to elect. */
const startMembers = async (
  options: NatsClusterOptions,
  binary: string,
  credentials: NatsCredentialsByRole,
): Promise<readonly NatsMember[]> => {
  const names = Array.from({ length: options.memberCount ?? MEMBER_COUNT }, (_, i) => `nats-${i + 1}`);
  const ports = new Map<string, number>();
  for (const name of names) ports.set(name, await freePort());
  const routes = [...ports.values()].map((port) => `nats://127.0.0.1:${port}`).join(',');
  const results = await Promise.allSettled(
    names.map(async (name): Promise<NatsMember> => {
      const dataDir = join(options.dataDir, name);
      await mkdir(dataDir, { recursive: true });
      const extraArgs = ['--server_name', name, '--cluster_name', 'chat', '--routes', routes];
      extraArgs.push('--cluster', `nats://127.0.0.1:${ports.get(name)}`);
      if (options.isAdvertised === false) extraArgs.push('--no_advertise');
      const server = await startNats({
        dataDir,
        binary,
        credentials,
        extraArgs,
        ...optionsOf(options, name),
      });
      return { name, server };
    }),
  );
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = results.find((result) => result.status === 'rejected');
  if (!failed) return started;
  await Promise.all(started.map(({ server }) => server.kill()));
  throw failed.reason;
};

/** Starts the cluster. Throws ServerFault. */
export const startNatsCluster = async (options: NatsClusterOptions): Promise<NatsCluster> => {
  const binary = await findNatsServer(options.say);
  const credentials = options.credentials ?? newNatsCredentials();
  let members: readonly NatsMember[] = [];
  for (let attempt = 1; members.length === 0; attempt += 1) {
    try {
      members = await startMembers(options, binary, credentials);
    } catch (error) {
      // A port of a route that another process took first shows as a member that ends, or one that nobody joins.
      if (!(error instanceof ServerFault) || attempt === START_TRY_COUNT) throw error;
    }
  }
  const withManager = async <T>(
    use: (jsm: JetStreamManager, nc: NatsConnection) => Promise<T>,
  ): Promise<T> => {
    const running = members.filter(({ server }) => server.isRunning()).map(({ server }) => server.url);
    if (running.length === 0) throw new Error('no member of the NATS cluster runs');
    const { user, password } = credentials.ops;
    const nc = await connect({
      servers: running,
      user,
      pass: password,
      timeout: REQUEST_TIMEOUT_MS,
      reconnect: false,
      ignoreClusterUpdates: true,
    });
    try {
      return await use(await jetstreamManager(nc, { timeout: REQUEST_TIMEOUT_MS, checkAPI: false }), nc);
    } finally {
      await nc.close();
    }
  };
  const placement = (stream: string): Promise<StreamPlacement> =>
    withManager(async (jsm) => {
      const { cluster } = await jsm.streams.info(stream);
      const current = (cluster?.replicas ?? []).filter((replica) => replica.current && !replica.offline);
      return { leader: cluster?.leader, currentFollowers: current.map(({ name }) => name) };
    });
  const isSettled = (): Promise<boolean> =>
    withManager(async (jsm) => {
      for await (const { cluster } of jsm.streams.list()) {
        if (!cluster?.leader) return false;
        if ((cluster.replicas ?? []).some(({ current, offline }) => !current || offline)) return false;
      }
      return true;
    });
  const stop = async (): Promise<void> => {
    await Promise.all(members.map(({ server }) => server.stop()));
  };
  return {
    members,
    get url() {
      return members.map(({ server }) => server.url).join(',');
    },
    credentials,
    placement,
    stepDown: (stream) =>
      withManager(async (_jsm, nc) => {
        const response = await nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, '', {
          timeout: REQUEST_TIMEOUT_MS,
        });
        const { error } = response.json<{ error?: { description: string } }>();
        if (error) throw new Error(`${stream}: ${error.description}`);
      }),
    settled: async (timeoutMs = SETTLED_TIMEOUT_MS) => {
      const deadline = performance.now() + timeoutMs;
      let last: unknown;
      while (performance.now() < deadline) {
        const isDone = await isSettled().catch((error: unknown) => {
          last = error;
          return false;
        });
        if (isDone) return;
        await delay(SETTLED_POLL_MS);
      }
      throw new Error(`the streams of the cluster are not settled after ${timeoutMs} ms`, { cause: last });
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
};
