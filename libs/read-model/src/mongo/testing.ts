/** For tests: a mongod of one's own (or the one of MONGODB_URL), and every command a client sent. */

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MongoServer, startMongo } from '@chat/testkit/servers/mongo-server';
import type { Document, MongoClient } from 'mongodb';

export type TestMongo = {
  readonly url: string;
  /** Undefined when MONGODB_URL named one that is not ours. */
  readonly own: MongoServer | undefined;
  readonly stop: () => Promise<void>;
};

export const testMongo = async (): Promise<TestMongo> => {
  const given = process.env['MONGODB_URL'];
  if (given !== undefined && given !== '') return { url: given, own: undefined, stop: async () => {} };
  const dataDir = await mkdtemp(join(tmpdir(), 'chat-test-mongo-'));
  const remove = (): Promise<void> => rm(dataDir, { recursive: true, force: true });
  const server = await startMongo({ dataDir }).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  return {
    url: server.url,
    own: server,
    stop: async () => {
      await server.stop();
      await remove();
    },
  };
};

export const newDatabaseName = (): string => `t_${randomUUID().replaceAll('-', '').slice(0, 20)}`;

const explainable = new Set(['find', 'aggregate', 'findAndModify', 'update']);
const ofTheSession = new Set([
  'lsid',
  '$clusterTime',
  '$db',
  'txnNumber',
  'autocommit',
  'startTransaction',
  'readConcern',
  'writeConcern',
  'maxTimeMS',
  '$readPreference',
]);

/** One command of each shape (its names, not its values) that `client`, made with monitorCommands, sends from now on. */
export const recordCommands = (client: MongoClient): ReadonlyMap<string, Document> => {
  const shapes = new Map<string, Document>();
  client.on('commandStarted', ({ commandName, command }: { commandName: string; command: Document }) => {
    if (!explainable.has(commandName)) return;
    const entries = Object.entries(command).filter(([name]) => !ofTheSession.has(name));
    const plain = Object.fromEntries(entries);
    // A bulk of updates is explained one by one.
    const updates: Document[][] =
      commandName === 'update' ? plain['updates'].map((u: Document) => [u]) : [[]];
    for (const one of updates) {
      const body = commandName === 'update' ? { ...plain, updates: one } : plain;
      shapes.set(shapeOf(body), body);
    }
  });
  return shapes;
};

const shapeOf = (command: Document): string =>
  JSON.stringify(command, (_key, value: unknown) => {
    if (Array.isArray(value)) return value.slice(0, 1) as unknown[];
    return typeof value === 'object' && value !== null ? value : typeof value === 'string' ? 's' : 0;
  }) + String(Object.values(command)[0]);

/** The names of all stages of the winning plans of a command. */
export const stagesOf = async (
  client: MongoClient,
  database: string,
  command: Document,
): Promise<ReadonlySet<string>> => {
  const plan = await client
    .db(database)
    .command({ explain: command, verbosity: 'queryPlanner' }, { readPreference: 'primary' });
  const stages = new Set<string>();
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, inner] of Object.entries(value)) {
      if (name === 'rejectedPlans' || name === 'command') continue;
      if (name === 'stage' && typeof inner === 'string') stages.add(inner);
      if (name === '$sort') stages.add('SORT');
      walk(inner);
    }
  };
  walk(plan);
  return stages;
};
