/** The program that `service.int.test.ts` runs as a process: a service whose behaviour its argument chooses. */

import { createHealthServer } from '../health.ts';
import { createLogger } from '../log.ts';
import { runService } from '../service.ts';

const mode = process.argv[2] ?? '';
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const log = createLogger({ app: 'test', instance: 'i', level: 'fatal' });
const health = createHealthServer({ host: '127.0.0.1', port: 0, checks: {}, log });
const never = new Promise<void>(() => undefined);
/** Something that keeps the process alive, as sockets do. */
const alive = setInterval(() => undefined, 1_000);

await runService({
  name: 'test',
  log,
  health,
  stopTimeoutMs: mode === 'stuck' ? 200 : 10_000,
  service: {
    start: async () => {
      if (mode === 'start-fails') throw new Error('no start');
      say(`started ${health.port()}`);
      if (mode === 'throws') setTimeout(() => raise());
      if (mode === 'rejects') setTimeout(() => void Promise.reject(new Error('late')));
    },
    drain: async (deadlineMs) => {
      const { status } = await fetch(`http://127.0.0.1:${health.port()}/health/readiness`);
      say(`drain ${deadlineMs > Date.now()} readiness ${status}`);
    },
    stop: async () => {
      say('stop');
      if (mode === 'stuck' || mode === 'second-signal') await never;
      if (mode === 'stop-fails') throw new Error('no stop');
      clearInterval(alive);
    },
  },
});

const raise = (): void => {
  throw new Error('uncaught');
};
