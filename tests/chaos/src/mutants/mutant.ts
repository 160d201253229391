/**
 * A known bug, made without a switch in production code: a fragment of one source file is replaced while an app loads
 * it (`preload.ts`). A fragment that does not stand exactly once in its file ends the app at once, so that a mutant
 * cannot become harmless unseen when the code moves.
 */

import { fileURLToPath } from 'node:url';
import type { ViolationName } from '@chat/testkit/checking/checker';
import type { AppName } from '@chat/testkit/processes/app-process';

export type Patch = {
  /** From the root of the repository. */
  readonly file: string;
  readonly app: AppName;
  readonly find: string;
  readonly replace: string;
};

export type Mutant = {
  /** Kebab-case; the name on the command line. */
  readonly name: string;
  readonly about: string;
  /** The nemesis under which it shows. */
  readonly nemesis: string;
  readonly patches: readonly Patch[];
  /** Any of these is a catch; anything else is not. */
  readonly caughtBy: readonly ViolationName[];
};

/** The source with the patch applied. Throws when the fragment does not stand there exactly once. */
export const applyPatch = (source: string, { file, find, replace }: Patch): string => {
  const parts = source.split(find);
  if (parts.length !== 2) {
    throw new Error(
      `a mutant's fragment stands ${parts.length - 1} times in ${file}, not once: ${JSON.stringify(find)}`,
    );
  }
  return parts.join(replace);
};

const preload = new URL('preload.ts', import.meta.url);

/** For the runtime of the apps that the mutant changes. */
export const nodeArgsOf = (mutant: Mutant): Partial<Record<AppName, readonly string[]>> =>
  Object.fromEntries(
    [...new Set(mutant.patches.map(({ app }) => app))].map((app) => [
      app,
      ['--import', `${preload.href}?mutant=${mutant.name}&app=${app}`],
    ]),
  );

export const repositoryFile = (file: string): string =>
  fileURLToPath(new URL(`../../../../${file}`, import.meta.url));
