/** The servers under a stack: NATS as one or as a cluster, PostgreSQL alone or with a standby. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type NatsCluster, startNatsCluster } from '../servers/nats-cluster.ts';
import { type NatsServer, startNats } from '../servers/nats-server.ts';
import { type PostgresPair, type Replication, startPostgresPair } from '../servers/postgres-pair.ts';
import { type PostgresServer, startPostgres } from '../servers/postgres-server.ts';
import type { Supervisable } from './supervisor.ts';

export type StackServersOptions = {
  /** Default `single`. `cluster`: three servers `nats-1` to `nats-3`, streams with three replicas. */
  readonly nats?: 'single' | 'cluster';
  /** Default none. With one, `postgres` is the primary of the moment behind an address that a promotion re-points. */
  readonly postgresStandby?: Replication;
  /** Default true: PostgreSQL as in production. */
  readonly fsync?: boolean;
  readonly postgresSettings?: Readonly<Record<string, string>>;
};

export type StackServers = {
  /** Of a cluster: its urls with commas between; its processes are `cluster.members`. */
  readonly nats: NatsServer;
  readonly natsCluster: NatsCluster | undefined;
  readonly postgres: PostgresServer;
  readonly postgresPair: PostgresPair | undefined;
  readonly streamReplicaCount: number;
  /** What is supervised, killed and paused by name. */
  readonly units: readonly (readonly [string, Supervisable])[];
};

type Stop = () => Promise<void>;
type Nats = Pick<StackServers, 'nats' | 'natsCluster'>;
type Postgres = Pick<StackServers, 'postgres' | 'postgresPair'>;

/** The cluster where one server is asked for: what is told of one is told of the first. */
const asOne = ({ members, credentials, ...cluster }: NatsCluster, url: () => string): NatsServer => {
  const [first] = members;
  if (!first) throw new Error('a cluster without members');
  const each = async (act: (server: NatsServer) => Promise<void>): Promise<void> => {
    await Promise.all(members.map(({ server }) => act(server)));
  };
  return {
    get url() {
      return url();
    },
    get monitorUrl() {
      return first.server.monitorUrl;
    },
    get port() {
      return first.server.port;
    },
    get pid() {
      return first.server.pid;
    },
    dataDir: first.server.dataDir,
    credentials,
    start: () => each((server) => server.start()),
    stop: cluster.stop,
    kill: () => each((server) => server.kill()),
    pause: () => members.forEach(({ server }) => server.pause()),
    resume: () => members.forEach(({ server }) => server.resume()),
    restart: async () => {
      await cluster.stop();
      await each((server) => server.start());
    },
    exited: () => each((server) => server.exited()),
    isRunning: () => members.some(({ server }) => server.isRunning()),
    tail: () => members.flatMap(({ server }) => server.tail()),
    [Symbol.asyncDispose]: cluster.stop,
  };
};

const startNatsOf = async (folder: string, options: StackServersOptions, stopping: Stop[]): Promise<Nats> => {
  const dataDir = join(folder, 'nats');
  await mkdir(dataDir);
  if (options.nats === 'cluster') {
    const natsCluster = await startNatsCluster({ dataDir });
    stopping.push(natsCluster.stop);
    return { nats: asOne(natsCluster, () => natsCluster.url), natsCluster };
  }
  const nats = await startNats({ dataDir });
  stopping.push(nats.stop);
  return { nats, natsCluster: undefined };
};

const startPostgresOf = async (
  folder: string,
  options: StackServersOptions,
  stopping: Stop[],
): Promise<Postgres> => {
  const server = {
    dataDir: join(folder, 'postgres/data'),
    fsync: options.fsync ?? true,
    ...(options.postgresSettings ? { settings: options.postgresSettings } : {}),
  };
  const replication = options.postgresStandby;
  if (replication === undefined) {
    const postgres = await startPostgres(server);
    stopping.push(postgres.stop);
    return { postgres, postgresPair: undefined };
  }
  const postgresPair = await startPostgresPair({ ...server, replication });
  stopping.push(postgresPair.stop);
  return { postgres: postgresPair.primary, postgresPair };
};

/** What was started is in `stopping`, also when it throws. */
export const startStackServers = async (
  folder: string,
  options: StackServersOptions,
  stopping: Stop[],
): Promise<StackServers> => {
  const [natsResult, postgresResult] = await Promise.allSettled([
    startNatsOf(folder, options, stopping),
    startPostgresOf(folder, options, stopping),
  ]);
  if (natsResult.status === 'rejected') throw natsResult.reason;
  if (postgresResult.status === 'rejected') throw postgresResult.reason;
  const { nats, natsCluster } = natsResult.value;
  const { postgres, postgresPair } = postgresResult.value;
  return {
    nats,
    natsCluster,
    postgres,
    postgresPair,
    streamReplicaCount: natsCluster?.members.length ?? 1,
    units: [
      ...(natsCluster?.members.map(({ name, server }) => [name, server] as const) ?? [
        ['nats', nats] as const,
      ]),
      ['postgres', postgres],
    ],
  };
};
