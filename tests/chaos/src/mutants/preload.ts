/**
 * Loaded into an app with `--import …/preload.ts?mutant=<name>&app=<app>`: patches the sources of that mutant as they are
 * loaded. The one thing it does at import is to hook the loading of modules: that is what it is for.
 */

import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { findMutant } from './all.ts';
import { applyPatch, repositoryFile } from './mutant.ts';

const { searchParams } = new URL(import.meta.url);
const name = searchParams.get('mutant') ?? '';
const app = searchParams.get('app');
const mutant = findMutant(name);
if (!mutant) throw new Error(`there is no mutant ${name}`);
const patches = mutant.patches.filter((patch) => patch.app === app);

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    const due = patches.filter(({ file }) => pathToFileURL(repositoryFile(file)).href === url);
    if (due.length === 0) return loaded;
    const text =
      typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
    return { ...loaded, source: due.reduce(applyPatch, text) };
  },
});
