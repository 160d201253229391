/** A deploy under load: SIGTERM of every app, one after another, each back and ready before the next goes. */

import { isPidAlive } from './kill.ts';
import type { Injection, Nemesis } from '../nemesis.ts';

const READY_TIMEOUT_MS = 30_000;
const BETWEEN_MS = 300;
/** A platform kills what takes longer (design: 30 s grace, 90 s timeout). */
const STOP_MAX_MS = 30_000;

const rollOne = ({ stack, fault }: Injection, name: string): Promise<void> => {
  const pid = stack.pid(name);
  return fault({
    target: name,
    action: 'SIGTERM',
    begin: async () => {
      const fromMs = performance.now();
      await stack.stop(name);
      const tookMs = Math.round(performance.now() - fromMs);
      if (tookMs > STOP_MAX_MS) throw new Error(`${name} took ${tookMs} ms to stop`);
      return isPidAlive(pid) ? [] : [`pid ${pid} of ${name} ended by itself after ${tookMs} ms`];
    },
    heal: async () => {
      await stack.start(name);
      await stack.ready(name, READY_TIMEOUT_MS);
      return [`${name} is ready as pid ${stack.pid(name)}`];
    },
  });
};

export const roll: Nemesis = {
  name: 'roll',
  about: 'SIGTERM of every app, one after another under load, as a rolling deploy does.',
  needs: {},
  runbook: 'deploy-roll',
  run: async (injection) => {
    const { stack, signal, pause } = injection;
    const apps = stack.names.filter((name) => /^(gateway|writer|projector|api)-/.test(name));
    while (!signal.aborted) {
      for (const name of apps) {
        await rollOne(injection, name);
        await pause(BETWEEN_MS);
      }
    }
  },
};
