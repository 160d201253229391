/** Everything `npm start` keeps between starts: the folder .local of the checkout (CHAT_LOCAL_DIR: another one). */

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type NatsCredentialsByRole, newNatsCredentials } from '@chat/testkit/servers/nats-server';
import { repositoryRoot } from '@chat/testkit/processes/app-process';

const folder = resolve(process.env.CHAT_LOCAL_DIR ?? join(repositoryRoot, '.local'));
const at = (...names: readonly string[]): string => join(folder, ...names);

export const localPaths = {
  folder,
  logs: at('logs'),
  natsData: at('nats'),
  postgresData: at('postgres', 'data'),
  mongodbData: at('mongodb'),
  secrets: at('secrets.json'),
  ports: at('ports.json'),
  stack: at('stack.json'),
  processes: at('processes.json'),
  lock: at('starter.lock'),
  devKey: at('dev-issuer.jwk.json'),
  devJwks: at('dev-jwks.json'),
} as const;

/** Whole or not at all: a kill between two writes leaves the old file. */
export const writeWhole = (file: string, text: string, mode = 0o600): void => {
  const fresh = `${file}.${process.pid}.new`;
  writeFileSync(fresh, text, { mode });
  renameSync(fresh, file);
};

export const readJson = <T>(file: string): T | undefined => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch {
    return undefined; // not there, or not whole
  }
};

export const writeJson = (file: string, value: unknown): void =>
  writeWhole(file, `${JSON.stringify(value, null, 2)}\n`);

export type Secrets = { readonly nats: NatsCredentialsByRole; readonly teamIdSecret: string };

/** Made once: clients, data and bookmarks of an earlier start stay good. */
export const loadSecrets = (): Secrets => {
  const stored = readJson<Secrets>(localPaths.secrets);
  if (stored) return stored;
  const secrets = { nats: newNatsCredentials(), teamIdSecret: randomBytes(32).toString('hex') };
  writeJson(localPaths.secrets, secrets);
  return secrets;
};

export const makeFolders = (): void => {
  mkdirSync(localPaths.logs, { recursive: true });
  mkdirSync(localPaths.natsData, { recursive: true });
};

/** Removes data and keys; keeps the lock and the logs. */
export const removeLocalData = (postgresDataDir: string): void => {
  const { natsData, postgresData, mongodbData, secrets, ports, stack, devKey, devJwks } = localPaths;
  const postgres = [postgresDataDir, `${postgresDataDir}.password`, join(postgresData, '..')];
  for (const path of [natsData, mongodbData, secrets, ports, stack, devKey, devJwks, ...postgres])
    if (existsSync(path)) rmSync(path, { recursive: true, force: true });
};
