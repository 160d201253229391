/** `npm test [-- vitest arguments]`: makes sure of what the tests need, says so, and runs the whole suite. */

import { join } from 'node:path';
import { ensureDependencies, repositoryRoot, runEntry, runUnderProjectNode } from './lib/dependencies.mjs';
import { createSteps } from './lib/steps.mjs';
import { chromiumHint, ensureChromium } from './lib/test-needs.mjs';

await runEntry('npm test', async () => {
  const steps = createSteps();
  await ensureDependencies(steps);
  const flags = ['--conditions=@chat/source', '--disable-warning=ExperimentalWarning'];
  const code = await runUnderProjectNode([...flags, join(repositoryRoot, 'tools/test-servers.ts')]);
  if (code !== 0) return code;
  const chromium = await ensureChromium(steps);
  steps.say(chromium ? `  browser: ${chromium}` : `  ${chromiumHint}`);
  process.chdir(repositoryRoot);
  const vitest = join(repositoryRoot, 'node_modules/vitest/vitest.mjs');
  return runUnderProjectNode([vitest, 'run', ...process.argv.slice(2)], {
    env: { ...process.env, ...(chromium ? { CHROME_PATH: chromium } : {}) },
  });
});
