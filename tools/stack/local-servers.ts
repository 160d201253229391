/** The servers under the local stack: each an embedded one of its own, or the one the environment names. */

import type { StackFacts } from '@chat/testkit/processes/stack-environment';
import type { Supervisable } from '@chat/testkit/processes/supervisor';
import { startMongo } from '@chat/testkit/servers/mongo-server';
import { startNats } from '@chat/testkit/servers/nats-server';
import { startPostgres } from '@chat/testkit/servers/postgres-server';
import type { Steps } from '../lib/steps.mjs';
import { checkGivenMongo, checkGivenNats, givenNatsCredentials } from './given-servers.ts';
import { localPaths, type Secrets } from './local-state.ts';
import type { StartOptions } from './options.ts';
import type { PortPlan } from './port-plan.ts';

export type LocalServersDeps = {
  readonly options: StartOptions;
  readonly ports: PortPlan;
  readonly steps: Steps;
  /** Where its lines and pids go. */
  readonly hooks: (name: string) => {
    readonly onLine: (line: string) => void;
    readonly onPid: (pid: number) => void;
  };
  /** Has it supervised from here on. */
  readonly add: (name: string, server: Supervisable) => Promise<void>;
};

const DATABASE_EXISTS = '42P04';

/** Answers the url of the database `chat`. */
export const startDatabase = async ({
  options,
  ports,
  steps,
  hooks,
  add,
}: LocalServersDeps): Promise<string> => {
  if (options.databaseUrl) {
    steps.say(`  PostgreSQL: the one of DATABASE_URL`);
    return options.databaseUrl;
  }
  return steps.step(`start PostgreSQL on port ${ports.postgres}`, async () => {
    const dataDir = localPaths.postgresData;
    const server = await startPostgres({ dataDir, port: ports.postgres, ...hooks('postgres') });
    await add('postgres', server);
    return server.createDatabase('chat').catch((error: unknown) => {
      if ((error as { code?: string }).code !== DATABASE_EXISTS) throw error;
      return server.url.replace(/\/postgres$/, '/chat');
    });
  });
};

export const startBroker = async (
  { options, ports, steps, hooks, add }: LocalServersDeps,
  secrets: Secrets,
): Promise<Pick<StackFacts, 'natsUrl' | 'natsCredentials'>> => {
  if (options.natsUrl) {
    steps.say('  NATS: the one of NATS_URL');
    const natsCredentials = givenNatsCredentials(process.env);
    await checkGivenNats(options.natsUrl);
    return { natsUrl: options.natsUrl, natsCredentials };
  }
  return steps.step(`start NATS on port ${ports.nats}`, async (tell) => {
    const server = await startNats({
      dataDir: localPaths.natsData,
      port: ports.nats,
      credentials: secrets.nats,
      say: tell,
      ...hooks('nats'),
    });
    await add('nats', server);
    return { natsUrl: server.url, natsCredentials: server.credentials };
  });
};

/** Answers the url of the MongoDB that holds the read model; undefined: PostgreSQL does. */
export const startReadStore = async ({
  options,
  ports,
  steps,
  hooks,
  add,
}: LocalServersDeps): Promise<string | undefined> => {
  if (options.readStore === 'postgres') return undefined;
  if (options.mongodbUrl) {
    steps.say('  MongoDB: the one of MONGODB_URL');
    await checkGivenMongo(options.mongodbUrl);
    return options.mongodbUrl;
  }
  return steps.step(`start MongoDB on port ${ports.mongodb}`, async (tell) => {
    const dataDir = localPaths.mongodbData;
    const server = await startMongo({ dataDir, port: ports.mongodb, say: tell, ...hooks('mongod') });
    await add('mongod', server);
    return server.url;
  });
};
