/** The load client's process: told its plan over the process channel, connects, runs once, answers, ends. */

import type { FromLoadClient, ToLoadClient } from './load-plan.ts';
import { type LoadRun, createLoadRun } from './load-run.ts';

const say = (message: FromLoadClient): void => {
  process.send?.(message);
};

let run: LoadRun | undefined;

const handle = async (message: ToLoadClient): Promise<void> => {
  if (message.kind === 'plan') {
    run = createLoadRun(message.plan);
    await run.connect();
    say({ kind: 'connected' });
    return;
  }
  const result = await run!.run((phase) => say({ kind: phase }));
  run!.close();
  say({ kind: 'result', result });
  process.disconnect();
};

process.on('message', (message) => {
  handle(message as ToLoadClient).catch((error: unknown) => {
    say({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) });
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit());
