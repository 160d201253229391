/** The open-loop client's process: told its plan, connects, runs once, answers, ends. */

import type { FromOpenLoop, ToOpenLoop } from './open-loop-plan.ts';
import { type OpenLoopRun, createOpenLoopRun } from './open-loop-run.ts';

const say = (message: FromOpenLoop): void => void process.send?.(message);

let run: OpenLoopRun | undefined;

const handle = async (message: ToOpenLoop): Promise<void> => {
  if (message.kind === 'plan') {
    run = createOpenLoopRun(message.plan);
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
  handle(message as ToOpenLoop).catch((error: unknown) => {
    say({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) });
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit());
