/** `pg_ctl -m immediate stop`: PostgreSQL ends without a checkpoint, tells its clients, and is started again. */

import { eventually } from '@chat/testkit/checking/eventually';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { isPidAlive, restarted } from '../kill.ts';

const EVERY_MIN_MS = 5_000;
const EVERY_SPREAD_MS = 5_000;
/** The postmaster itself kills backends that have not ended after 5 s. */
const ENDED_TIMEOUT_MS = 20_000;
const REQUEST = 'received immediate shutdown request';

const restartOnce = async ({ stack, fault }: Injection): Promise<void> => {
  const pid = stack.pid('postgres');
  await fault({
    target: 'postgres',
    action: 'immediate shutdown',
    begin: async () => {
      process.kill(pid, 'SIGQUIT'); // what `pg_ctl -m immediate` sends
      const wasAsked = await eventually(
        `postmaster ${pid} has ended`,
        // Its lines are there until the platform has started the next.
        async () =>
          isPidAlive(pid) ? undefined : { isTold: stack.tail('postgres').join('\n').includes(REQUEST) },
        { timeoutMs: ENDED_TIMEOUT_MS },
      );
      return wasAsked.isTold ? [`pid ${pid} of postgres is gone; it wrote: ${REQUEST}`] : [];
    },
    heal: async () => [await restarted(stack, 'postgres', pid)],
  });
};

export const postgresImmediateRestart: Nemesis = {
  name: 'postgres-immediate-restart',
  about: 'PostgreSQL is shut down at once (immediate) every 5–10 s; it recovers from its log.',
  needs: {},
  runbook: 'postgres-down',
  run: async (injection) => {
    const { stack, signal, random, pause } = injection;
    while (!signal.aborted) {
      if (stack.isRunning('postgres')) await restartOnce(injection);
      await pause(EVERY_MIN_MS + random() * EVERY_SPREAD_MS);
    }
  },
};
