/** Runs `node <arguments>` under the Node the repository brings: for scripts of npm that itself runs on an older one. */

import { ensureDependencies, runEntry, runUnderProjectNode } from './lib/dependencies.mjs';
import { createSteps } from './lib/steps.mjs';

await runEntry('node', async () => {
  // Steps go to stderr: the script's own output may be piped.
  await ensureDependencies(createSteps(process.stderr));
  return runUnderProjectNode(['--disable-warning=ExperimentalWarning', ...process.argv.slice(2)]);
});
