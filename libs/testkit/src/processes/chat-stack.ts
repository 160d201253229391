/**
 * A whole system for one test file or benchmark: own NATS, own PostgreSQL (and MongoDB, if that holds the read model),
 * every app as its own process, on free ports and in a folder of its own; nothing is left of it when it is disposed of.
 *
 * Start order: servers, migrations, writer and projector (they make the streams), then api and gateways. Stop order:
 * gateways (their clients are told), api, writers, projectors, then the servers.
 */

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDevIssuer } from '@chat/platform/auth/dev-issuer';
import { type StackLinks, startStackLinks, throughLink, throughLinks } from '../network/stack-links.ts';
import type { TcpLink } from '../network/tcp-link.ts';
import type { NatsCluster } from '../servers/nats-cluster.ts';
import type { NatsServer } from '../servers/nats-server.ts';
import { freePort } from '../servers/ports.ts';
import type { PostgresPair } from '../servers/postgres-pair.ts';
import type { PostgresServer } from '../servers/postgres-server.ts';
import type { SmallDisk } from '../servers/small-disk.ts';
import {
  type AppCode,
  type AppEnvironment,
  type AppHandle,
  type AppName,
  createAppHandle,
  repositoryRoot,
} from './app-process.ts';
import { migrateDatabase } from './migrate-database.ts';
import { type SeededTeam, type SeedPlan, seedTeam } from './seed-team.ts';
import { type StackFacts, TOKEN_AUDIENCE, environmentOf } from './stack-environment.ts';
import { type StackMongo, type StackServersOptions, startStackServers } from './stack-servers.ts';
import { platformPolicy, supervise, type Supervised, type SupervisorEvent } from './supervisor.ts';

export type ChatStackOptions = StackServersOptions & {
  readonly gateways?: number;
  readonly writers?: number;
  readonly projectors?: number;
  readonly apis?: number;
  readonly partitions?: number;
  readonly from?: AppCode;
  readonly logLevel?: string;
  /** Added to (or replacing) what the app would be told. */
  readonly env?: Readonly<Partial<Record<AppName, AppEnvironment>>>;
  /** For the runtime of an app, for example `--cpu-prof`. */
  readonly nodeArgs?: Readonly<Partial<Record<AppName, readonly string[]>>>;
  /** Restart what dies, the servers too, after 0.5 s, then slower. */
  readonly supervise?: boolean;
  readonly onEvent?: (event: SupervisorEvent) => void;
  /** Every line an app writes. */
  readonly onLine?: (name: string, line: string) => void;
};

export type ChatStack = {
  /** Where everything of this stack is; removed with it. */
  readonly folder: string;
  /** ws:// bases; connect to `<base>/ws/<teamId>`. */
  readonly gatewayUrls: readonly string[];
  readonly apiUrl: string;
  readonly apiUrls: readonly string[];
  readonly databaseUrl: string;
  /** Of a stack with a cluster: `url` names all its members, with commas between. */
  readonly nats: NatsServer;
  /** Of a stack started with `nats: 'cluster'`. */
  readonly natsCluster?: NatsCluster;
  readonly postgres: PostgresServer;
  /** Of a stack started with `postgresStandby`. */
  readonly postgresPair?: PostgresPair;
  /** Of a stack started with `smallDisk`: where that server's data is. */
  readonly smallDisk?: SmallDisk;
  /** Of a stack started with `readStore: 'mongodb'`. */
  readonly mongo?: StackMongo;
  readonly partitions: number;
  /**
   * `nats` (`nats-1` to `nats-3` of a cluster), `postgres`, `mongod` (`mongod-1` to `mongod-3` of a set), `gateway-1`,
   * `gateway-2`, `writer-1`, `projector-1`, `api-1`, …
   */
  readonly names: readonly string[];
  readonly pid: (name: string) => number;
  readonly isRunning: (name: string) => boolean;
  /** Base of `/health/liveness` and `/health/readiness`; apps only. */
  readonly healthUrl: (name: string) => string;
  /** Where Prometheus would scrape it; apps only. */
  readonly metricsUrl: (name: string) => string;
  readonly ready: (name: string, timeoutMs?: number) => Promise<void>;
  /** SIGKILL; resolves when it is gone. A supervised stack starts it again. */
  readonly kill: (name: string) => Promise<void>;
  /** Graceful; not started again until `start`. */
  readonly stop: (name: string) => Promise<void>;
  /** Starts what was stopped (or is dead), on the same ports and data. Does not wait until an app is ready. */
  readonly start: (name: string) => Promise<void>;
  readonly restart: (name: string) => Promise<void>;
  readonly pause: (name: string) => void;
  readonly resume: (name: string) => void;
  /** The last lines (about 200) the process wrote. */
  readonly tail: (name: string) => readonly string[];
  /** The last lines of every process, for the report of a failed test. */
  readonly tails: () => string;
  /** Of a proxied stack: `gateway-1→nats` (`gateway-1→nats-2` of a cluster), `writer-1→postgres`, `client→gateway-1`, … */
  readonly linkNames: readonly string[];
  readonly link: (name: string) => TcpLink;
  readonly mintToken: (user: string, options?: { readonly ttlSeconds?: number }) => Promise<string>;
  readonly seedTeam: (plan: Omit<SeedPlan, 'name'> & { readonly name?: string }) => Promise<SeededTeam>;
  readonly stopAll: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
};

/**
 * Stopping a stack must not take the 30 s production gives its clients; and one user seeds and reads here what many do
 * elsewhere (tests of the limit set it themselves).
 */
const stackDefaults: Readonly<Partial<Record<AppName, AppEnvironment>>> = {
  gateway: { DRAIN_GRACE_MS: '1000' },
  api: { API_REQUESTS_PER_MINUTE_COUNT: '1000000' },
};

type NatsServers = { readonly nats: NatsServer; readonly natsCluster: NatsCluster | undefined };

type Planned = {
  readonly app: AppName;
  readonly name: string;
  readonly port: number;
  readonly healthPort: number;
  readonly metricsPort: number;
};

const plan = async (options: ChatStackOptions): Promise<readonly Planned[]> => {
  const counts: readonly (readonly [AppName, number])[] = [
    ['writer', options.writers ?? 1],
    ['projector', options.projectors ?? 1],
    ['api', options.apis ?? 1],
    ['gateway', options.gateways ?? 2],
  ];
  const planned: Planned[] = [];
  const taken = new Set<number>();
  const ownPort = async (): Promise<number> => {
    for (;;) {
      const port = await freePort();
      if (!taken.has(port) && taken.add(port)) return port;
    }
  };
  for (const [app, count] of counts) {
    for (let i = 1; i <= count; i += 1)
      planned.push({
        app,
        name: `${app}-${i}`,
        port: await ownPort(),
        healthPort: await ownPort(),
        metricsPort: await ownPort(),
      });
  }
  return planned;
};

const urlsOf = (
  planned: readonly Planned[],
  app: AppName,
  scheme: string,
  links: StackLinks | undefined,
): readonly string[] =>
  planned
    .filter((process) => process.app === app)
    .map(({ name, port }) => `${scheme}://127.0.0.1:${links?.link(`client→${name}`).port ?? port}`);

/** `nats`, or the members of the cluster in the order of its urls. */
const natsMembers = ({ nats, natsCluster }: NatsServers): readonly { name: string; port: number }[] =>
  natsCluster?.members.map(({ name, server }) => ({ name, port: server.port })) ?? [
    { name: 'nats', port: nats.port },
  ];

const linksOf = async (
  options: ChatStackOptions,
  planned: readonly Planned[],
  servers: NatsServers & { readonly postgres: PostgresServer },
): Promise<StackLinks | undefined> =>
  options.isProxied === true
    ? startStackLinks(planned, { nats: natsMembers(servers), postgres: servers.postgres.port })
    : undefined;

/** What a process is told of the servers: where its own links to them are. */
const linkedFacts = (
  facts: StackFacts,
  name: string,
  app: AppName,
  links: StackLinks | undefined,
  natsNames: readonly string[],
): StackFacts =>
  links === undefined
    ? facts
    : {
        ...facts,
        natsUrl: throughLinks(
          facts.natsUrl,
          natsNames.map((nats) => links.link(`${name}→${nats}`)),
        ),
        databaseUrl:
          app === 'gateway'
            ? facts.databaseUrl
            : throughLink(facts.databaseUrl, links.link(`${name}→postgres`)),
      };

/** Starts everything and waits until each process is ready. What was started is stopped again when a part fails. */
export const startChatStack = async (options: ChatStackOptions = {}): Promise<ChatStack> => {
  const folder = await mkdtemp(join(tmpdir(), 'chat-stack-'));
  const stopping: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const stopAll = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (const stop of stopping.splice(0).reverse())
      await stop().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, 'the stack did not stop cleanly');
  };
  try {
    return await startIn(folder, options, stopping, stopAll);
  } catch (error) {
    await stopAll().catch(() => {});
    throw error;
  }
};

const startIn = async (
  folder: string,
  options: ChatStackOptions,
  stopping: (() => Promise<void>)[],
  stopAll: () => Promise<void>,
): Promise<ChatStack> => {
  const from = options.from ?? 'source';
  const partitions = options.partitions ?? 4;
  const policy = { ...platformPolicy, isRestarting: options.supervise ?? false, maxMs: 2_000 };
  const units = new Map<string, Supervised>();
  const apps = new Map<string, AppHandle>();

  const servers = await startStackServers(folder, options, stopping);
  const { nats, natsCluster, postgres, postgresPair, mongo, smallDisk } = servers;
  for (const [name, server] of servers.units) {
    const unit = supervise(name, server, policy, options.onEvent);
    units.set(name, unit);
    await unit.start(); // it runs already; from here on it is watched
    stopping.push(unit.stop);
  }
  const databaseUrl = await postgres.createDatabase('chat');
  const devKeyFile = join(folder, 'dev-issuer.jwk.json');
  const devJwksFile = join(folder, 'dev-jwks.json');
  const issuer = await createDevIssuer({
    keyFile: devKeyFile,
    jwksFile: devJwksFile,
    audience: TOKEN_AUDIENCE,
  });
  const planned = await plan(options);
  const links = await linksOf(options, planned, servers);
  const natsNames = natsMembers(servers).map((member) => member.name);
  if (links) stopping.push(links.stop);
  const gatewayUrls = urlsOf(planned, 'gateway', 'ws', links);
  const apiUrls = urlsOf(planned, 'api', 'http', undefined);
  const facts: StackFacts = {
    chatEnv: 'test',
    logLevel: options.logLevel ?? 'info',
    natsUrl: nats.url,
    natsCredentials: nats.credentials,
    streamReplicaCount: servers.streamReplicaCount,
    partitionCount: partitions,
    databaseUrl,
    ...(mongo ? { mongodbUrl: mongo.url } : {}),
    devJwksFile,
    devKeyFile,
    teamIdSecret: randomBytes(32).toString('hex'),
    webRoot: join(repositoryRoot, 'apps/web/dist'),
    gatewayUrls,
    allowedOrigins: apiUrls,
  };
  const migrationArgs = options.nodeArgs?.writer;
  await migrateDatabase({
    databaseUrl,
    partitionCount: partitions,
    from,
    ...(migrationArgs ? { nodeArgs: migrationArgs } : {}),
  });
  for (const process of planned) {
    const { app, name, port, healthPort, metricsPort } = process;
    const own = { app, instance: name, healthPort, metricsPort, port };
    const env = {
      ...environmentOf(linkedFacts(facts, name, app, links, natsNames), own),
      ...stackDefaults[app],
      ...options.env?.[app],
    };
    const nodeArgs = options.nodeArgs?.[app];
    const { onLine } = options;
    const handle = createAppHandle({
      app,
      env,
      from,
      ...(nodeArgs ? { nodeArgs } : {}),
      ...(onLine ? { onLine: (line: string) => onLine(name, line) } : {}),
    });
    const unit = supervise(name, handle, policy, options.onEvent);
    apps.set(name, handle);
    units.set(name, unit);
    stopping.push(unit.stop);
    await unit.start();
  }
  await Promise.all([...apps.values()].map((app) => app.ready()));

  const unit = (name: string): Supervised => {
    const found = units.get(name);
    if (!found) throw new Error(`no process ${name}; there are ${[...units.keys()].join(', ')}`);
    return found;
  };
  const app = (name: string): AppHandle => {
    const found = apps.get(name);
    if (!found) throw new Error(`${name} is no app of this stack`);
    return found;
  };
  const [apiUrl = ''] = apiUrls;
  return {
    folder,
    gatewayUrls,
    apiUrl,
    apiUrls,
    databaseUrl,
    nats,
    ...(natsCluster ? { natsCluster } : {}),
    postgres,
    ...(postgresPair ? { postgresPair } : {}),
    ...(smallDisk ? { smallDisk } : {}),
    ...(mongo ? { mongo } : {}),
    partitions,
    names: [...units.keys()],
    pid: (name) => unit(name).pid,
    isRunning: (name) => unit(name).isRunning(),
    healthUrl: (name) => app(name).healthUrl,
    metricsUrl: (name) => `http://${app(name).env.METRICS_HOST}:${app(name).env.METRICS_PORT}/metrics`,
    ready: (name, timeoutMs) => app(name).ready(timeoutMs),
    kill: (name) => unit(name).kill(),
    stop: (name) => unit(name).stop(),
    start: (name) => unit(name).start(),
    restart: (name) => unit(name).restart(),
    pause: (name) => unit(name).pause(),
    resume: (name) => unit(name).resume(),
    tail: (name) => unit(name).tail(),
    tails: () =>
      [...units].map(([name, { tail }]) => `--- ${name}\n${tail().slice(-40).join('\n')}`).join('\n'),
    linkNames: links?.names ?? [],
    link: (name) => {
      if (!links) throw new Error('this stack has no links; start it with isProxied');
      return links.link(name);
    },
    mintToken: (user, mint) => issuer.mint(user, mint),
    seedTeam: (seed) =>
      seedTeam({ name: 'team', ...seed }, { apiUrl, mintToken: (user) => issuer.mint(user) }),
    stopAll,
    [Symbol.asyncDispose]: stopAll,
  };
};
