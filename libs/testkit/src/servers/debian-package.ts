/**
 * Brings the files of a Debian package without installing it: nothing of the system is changed, no service is started, and
 * no root is needed. Used for servers and tools that tests run.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const FETCH_TIMEOUT_MS = 300_000;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

export const onPath = (name: string): string | undefined => {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // next folder
    }
  }
  return undefined;
};

/** The mirror this machine is set up with, from one-line or deb822 sources. */
const debianMirror = async (): Promise<string | undefined> => {
  const files = ['/etc/apt/sources.list'];
  for (const name of await readdir('/etc/apt/sources.list.d').catch(() => []))
    files.push(join('/etc/apt/sources.list.d', name));
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const match = /^(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(\S+\/debian)\/?(?:\s|$)/m.exec(text);
    if (match?.[1]) return match[1];
  }
  return undefined;
};

/** Folders and lists of one's own: the machine's package lists may be missing, old, or of another release. */
const privateApt = async (work: string, suite: string): Promise<readonly string[]> => {
  accessSync(KEYRING, constants.R_OK);
  const mirror = await debianMirror();
  if (!mirror) throw new Error('no Debian mirror is configured');
  for (const folder of ['lists/partial', 'cache/archives/partial'])
    await mkdir(join(work, folder), { recursive: true });
  const list = join(work, 's.list');
  await writeFile(list, `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`);
  return [
    `Dir::Etc::sourcelist=${list}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${join(work, 'lists')}`,
    `Dir::Cache=${join(work, 'cache')}`,
    'Dir::State::status=/dev/null',
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
  ].flatMap((option) => ['-o', option]);
};

export type DebianPackages = {
  readonly suite: string;
  readonly names: readonly string[];
  /** File names whose content is pinned beside Debian's signature; others are trusted by signature. */
  readonly sha256?: Readonly<Record<string, string>>;
};

/** Downloads the packages into the empty folder `work`; answers the folder with their files (`usr/bin/…`). */
export const unpackDebian = async (work: string, packages: DebianPackages): Promise<string> => {
  const options = await privateApt(work, packages.suite);
  const settings = { cwd: work, timeout: FETCH_TIMEOUT_MS };
  await run('apt-get', [...options, 'update'], settings);
  await run('apt-get', [...options, 'download', ...packages.names], settings);
  const files = (await readdir(work)).filter((name) => name.endsWith('.deb'));
  if (files.length < packages.names.length) throw new Error('apt-get downloaded nothing');
  for (const file of files) {
    const pinned = packages.sha256?.[file];
    const found = createHash('sha256')
      .update(await readFile(join(work, file)))
      .digest('hex');
    if (pinned !== undefined && pinned !== found) throw new Error(`${file} has an unexpected SHA-256`);
    await run('dpkg-deb', ['-x', join(work, file), join(work, 'x')], settings);
  }
  return join(work, 'x');
};
