/**
 * Plain Node 20 or newer, nothing installed: makes sure of the npm dependencies and finds the Node 22 they bring.
 */

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const NODE_MAJOR_MIN = 20;
const NODE_MAJOR_PROJECT = 22;
/** Dependencies take about 0.6 GB, and the npm cache as much again. */
const INSTALL_FREE_MIN_BYTES = 1.5 * 2 ** 30;

/** Something a person must do; the message is the sentence that says it. */
export class Hint extends Error {}

const readJson = (file) => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
};

/** Compares what package-lock.json asks for with what npm noted that it installed. */
export const areDependenciesInstalled = (root = repositoryRoot) => {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages;
  const installed = readJson(join(root, 'node_modules/.package-lock.json'))?.packages;
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith('node_modules/') || entry.optional || entry.peer) return true;
    return installed[path] !== undefined && (entry.link || installed[path].version === entry.version);
  });
};

const tailOf = (text) => text.trim().split('\n').slice(-6).join('\n');

const npmCi = (tell) =>
  new Promise((resolve, reject) => {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
    const child = spawn(npm, args, { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output = (output + chunk).slice(-20_000);
        tell(String(chunk).trim().split('\n').at(-1) ?? '');
      });
    child.once('error', (error) => reject(new Hint(`npm cannot be run (${error.message}): install npm.`)));
    child.once('close', (code) => {
      if (code === 0) return resolve();
      const hint = /ENOSPC/.test(output)
        ? 'No disk space left: free about 2 GB and start again.'
        : `npm ci failed (exit ${code}); the npm registry must be reachable.`;
      reject(new Hint(`${hint}\n${tailOf(output)}`));
    });
  });

/** Installs what is missing. Throws Hint. */
export const ensureDependencies = async ({ step }) => {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MAJOR_MIN)
    throw new Hint(`Node ${process.versions.node} is too old: install Node ${NODE_MAJOR_MIN} or newer.`);
  if (areDependenciesInstalled()) return;
  const { bavail, bsize } = statfsSync(repositoryRoot);
  if (bavail * bsize < INSTALL_FREE_MIN_BYTES)
    throw new Hint(
      `Only ${Math.floor((bavail * bsize) / 2 ** 20)} MB of disk are free: 1.5 GB are needed to install.`,
    );
  await step('install dependencies (npm ci, about half a minute)', (tell) => npmCi(tell));
};

/** The Node that runs the project: the one npm brought, or this one when it is new enough. Throws Hint. */
export const projectNode = () => {
  const brought = join(repositoryRoot, 'node_modules/.bin/node');
  if (existsSync(brought) && spawnSync(brought, ['--version'], { stdio: 'ignore' }).status === 0)
    return brought;
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_PROJECT) return process.execPath;
  throw new Hint(
    `Node ${NODE_MAJOR_PROJECT} or newer is needed and npm has none for this machine: install it and start again.`,
  );
};

/**
 * Runs Node with these arguments in place of this process: its output, signals and exit code. The child learns of
 * the end of this process, however it ends, by its IPC channel (`disconnect`).
 */
export const runUnderProjectNode = (args, { env = process.env } = {}) =>
  new Promise((resolve, reject) => {
    const node = projectNode();
    const child = spawn(node, args, {
      cwd: process.cwd(),
      env: { ...env, PATH: `${dirname(node)}:${env.PATH ?? ''}` },
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    if (process.env.npm_lifecycle_event) watchParent(() => child.connected && child.disconnect());
  });

/** npm killed with -9 tells nobody: this process then has another parent. */
const PARENT_CHECK_MS = 1000;
const watchParent = (onGone) => {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onGone();
  }, PARENT_CHECK_MS);
  timer.unref();
};

/** For an entry script: prints a Hint as its sentence, anything else whole, and ends with 1. */
export const runEntry = async (name, main) => {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.error(error instanceof Hint ? `${name}: ${error.message}` : error);
    process.exitCode = 1;
  }
};
