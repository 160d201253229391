/** `npm start`: works before anything is installed and on Node 20. What it starts is in tools/stack. */

import { join } from 'node:path';
import { ensureDependencies, repositoryRoot, runEntry, runUnderProjectNode } from './lib/dependencies.mjs';
import { createSteps } from './lib/steps.mjs';

await runEntry('npm start', async () => {
  const startedAtMs = Date.now();
  await ensureDependencies(createSteps());
  const args = ['--conditions=@chat/source', '--disable-warning=ExperimentalWarning'];
  return runUnderProjectNode(
    [...args, join(repositoryRoot, 'tools/stack/main.ts'), ...process.argv.slice(2)],
    {
      env: { ...process.env, CHAT_STARTED_AT_MS: String(startedAtMs) },
    },
  );
});
