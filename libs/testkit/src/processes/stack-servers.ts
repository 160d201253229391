/**
 * The servers under a stack: NATS as one or as a cluster, PostgreSQL alone or with a standby, and MongoDB (one or a set)
 * where that holds the read model.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { MongoServer } from '../servers/mongo-process.ts';
import { startMongo } from '../servers/mongo-server.ts';
import { type MongoSet, startMongoSet } from '../servers/mongo-set.ts';
import { type NatsCluster, startNatsCluster } from '../servers/nats-cluster.ts';
import { type NatsServer, startNats } from '../servers/nats-server.ts';
import { type PostgresPair, type Replication, startPostgresPair } from '../servers/postgres-pair.ts';
import { type PostgresServer, startPostgres } from '../servers/postgres-server.ts';
import { type SmallDisk, mountSmallDisk } from '../servers/small-disk.ts';
import type { Supervisable } from './supervisor.ts';

export type StackServersOptions = {
  /** Default `single`. `cluster`: three servers `nats-1` to `nats-3`, streams with three replicas. */
  readonly nats?: 'single' | 'cluster';
  /** Every connection between two parts, and of clients to gateways, goes over a link that can fail; see `ChatStack.link`. */
  readonly isProxied?: boolean;
  /** Default none. With one, `postgres` is the primary of the moment behind an address that a promotion re-points. */
  readonly postgresStandby?: Replication;
  /** Where the read model is; default `postgres`, beside the write model. */
  readonly readStore?: 'postgres' | 'mongodb';
  /** Default `single`: one mongod, `mongod`. `set`: three members `mongod-1` to `mongod-3`. */
  readonly mongo?: 'single' | 'set';
  /** Default true: PostgreSQL as in production. */
  readonly fsync?: boolean;
  readonly postgresSettings?: Readonly<Record<string, string>>;
  /** The data of this server stands on a small file system of its own that can be filled; needs root, else CANNOT_MOUNT. */
  readonly smallDisk?: 'nats' | 'postgres';
};

export type StackServers = {
  /** Of a cluster: its urls with commas between; its processes are `cluster.members`. */
  readonly nats: NatsServer;
  readonly natsCluster: NatsCluster | undefined;
  readonly postgres: PostgresServer;
  readonly postgresPair: PostgresPair | undefined;
  /** Of a stack whose read model is in MongoDB. */
  readonly mongo: StackMongo | undefined;
  readonly smallDisk: SmallDisk | undefined;
  readonly streamReplicaCount: number;
  /** What is supervised, killed and paused by name. */
  readonly units: readonly (readonly [string, Supervisable])[];
};

export type StackMongo = {
  readonly url: string;
  /** Of a set; undefined of a single mongod. */
  readonly set: MongoSet | undefined;
  /** By name. */
  readonly members: readonly { readonly name: string; readonly server: MongoServer }[];
};

const MONGO_SET_COUNT = 3;

/** Many times what a round of the fault suite leaves, and little to fill. */
const SMALL_DISK_BYTES = { nats: 128 * 1024 * 1024, postgres: 320 * 1024 * 1024 } as const;
/** A log that fits: it may grow to `max_wal_size` and a little more between two checkpoints. */
const smallDiskSettings = { max_wal_size: '64MB', min_wal_size: '32MB' } as const;

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
  await mkdir(dataDir, { recursive: true });
  if (options.nats === 'cluster') {
    const natsCluster = await startNatsCluster({ dataDir, isAdvertised: options.isProxied !== true });
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
    settings: {
      ...(options.smallDisk === 'postgres' ? smallDiskSettings : {}),
      ...options.postgresSettings,
    },
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

const startMongoOf = async (
  folder: string,
  options: StackServersOptions,
  stopping: Stop[],
): Promise<StackMongo | undefined> => {
  if (options.readStore !== 'mongodb') return undefined;
  const dataDir = join(folder, 'mongodb');
  if (options.mongo === 'set') {
    const set = await startMongoSet(MONGO_SET_COUNT, { dataDir });
    stopping.push(set.stop);
    return { url: set.url, set, members: set.members };
  }
  const server = await startMongo({ dataDir });
  stopping.push(server.stop);
  return { url: server.url, set: undefined, members: [{ name: 'mongod', server }] };
};

/** What was started is in `stopping`, also when it throws. */
export const startStackServers = async (
  folder: string,
  options: StackServersOptions,
  stopping: Stop[],
): Promise<StackServers> => {
  const { smallDisk: which } = options;
  const smallDisk =
    which && (await mountSmallDisk({ dir: join(folder, which), sizeBytes: SMALL_DISK_BYTES[which] }));
  if (smallDisk) stopping.push(smallDisk.stop);
  const [natsResult, postgresResult, mongoResult] = await Promise.allSettled([
    startNatsOf(folder, options, stopping),
    startPostgresOf(folder, options, stopping),
    startMongoOf(folder, options, stopping),
  ]);
  if (natsResult.status === 'rejected') throw natsResult.reason;
  if (postgresResult.status === 'rejected') throw postgresResult.reason;
  if (mongoResult.status === 'rejected') throw mongoResult.reason;
  const mongo = mongoResult.value;
  const { nats, natsCluster } = natsResult.value;
  const { postgres, postgresPair } = postgresResult.value;
  return {
    nats,
    natsCluster,
    postgres,
    postgresPair,
    mongo,
    smallDisk,
    streamReplicaCount: natsCluster?.members.length ?? 1,
    units: [
      ...(natsCluster?.members.map(({ name, server }) => [name, server] as const) ?? [
        ['nats', nats] as const,
      ]),
      ['postgres', postgres],
      ...(mongo?.members.map(({ name, server }) => [name, server] as const) ?? []),
    ],
  };
};
