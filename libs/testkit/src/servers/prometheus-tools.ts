/**
 * Finds or fetches `promtool` and `amtool`, which check the alert rules and their routing, and `prometheus` itself. Order:
 * the environment (PROMTOOL, AMTOOL, PROMETHEUS), the path, the cache, Debian's packages unpacked into the cache (no daemon
 * is installed or started).
 */

import { randomUUID } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onPath, unpackDebian } from './debian-package.ts';
import { type Say, cacheDir } from './nats-binary.ts';
import { ServerFault } from './server-fault.ts';

const packages = {
  suite: 'bookworm',
  names: ['prometheus', 'prometheus-alertmanager'],
  sha256: {
    'prometheus_2.42.0+ds-5+deb12u1_amd64.deb':
      '81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55',
    'prometheus-alertmanager_0.25.0-1+b4_amd64.deb':
      '4fb9aed15cfe8e0c32408e643ab32a1e41ee87d2cc26f18aeba928b1b0b98ae7',
  },
};

const toolNames = ['promtool', 'amtool', 'prometheus'] as const;
type ToolName = (typeof toolNames)[number];
export type PrometheusTools = Readonly<Record<ToolName, string>>;

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

const folder = (): string => join(cacheDir(), 'prometheus');

const known = (name: ToolName): string | undefined => {
  const given = process.env[name.toUpperCase()];
  if (given !== undefined && given !== '') return given;
  const cached = join(folder(), name);
  return onPath(name) ?? (isExecutable(cached) ? cached : undefined);
};

const knownTools = (): PrometheusTools | undefined => {
  const [promtool, amtool, prometheus] = toolNames.map(known);
  if (promtool === undefined || amtool === undefined || prometheus === undefined) return undefined;
  return { promtool, amtool, prometheus };
};

/** Two processes may fetch at once: each renames a whole file into place, the last one wins. */
const keep = async (from: string, name: string): Promise<void> => {
  const whole = join(folder(), `.${randomUUID()}`);
  await copyFile(from, whole);
  await chmod(whole, 0o755);
  await rename(whole, join(folder(), name));
};

const help =
  'Install the packages prometheus and prometheus-alertmanager (Debian; macOS: `brew install prometheus alertmanager`), ' +
  'or set PROMTOOL, AMTOOL and PROMETHEUS to the files: the tests of the alert rules fail without them.';

/** Throws ServerFault BINARY_NOT_FOUND with a sentence that says what to do. */
export const findPrometheusTools = async (say: Say = () => {}): Promise<PrometheusTools> => {
  const tools = knownTools();
  if (tools) return tools;
  const work = await mkdtemp(join(tmpdir(), 'prometheus-fetch-'));
  try {
    say("promtool, amtool and prometheus are fetched: Debian's packages");
    await mkdir(folder(), { recursive: true });
    const files = await unpackDebian(work, packages);
    for (const name of toolNames) await keep(join(files, 'usr/bin', name), name);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new ServerFault('BINARY_NOT_FOUND', `No promtool, amtool and prometheus (${reason}). ${help}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const fetched = knownTools();
  if (!fetched) throw new ServerFault('BINARY_NOT_FOUND', `No promtool, amtool and prometheus. ${help}`);
  return fetched;
};
