/** kill -9 and SIGSTOP of the only mongod: the read model is away, writing and live delivery are not. */

import type { Injection, Nemesis } from '../../nemesis.ts';
import { isPidAlive, restarted } from '../kill.ts';
import { PAUSES_MS, stateOf } from '../pause.ts';
import { readsBack, refusedReads } from './reads.ts';

const NAME = 'mongod';
const KILL_EVERY_MIN_MS = 5_000;
const KILL_EVERY_SPREAD_MS = 5_000;
const BETWEEN_PAUSES_MS = 1_000;
/** A read waits 5 s, and once more for the repetition, before it is refused: shorter pauses only make it slow. */
const REFUSING_MIN_MS = 10_000;

const killMongod = (injection: Injection): Promise<void> => {
  const { stack, fault } = injection;
  const pid = stack.pid(NAME);
  return fault({
    target: NAME,
    action: 'kill -9',
    begin: async () => {
      await stack.kill(NAME);
      return isPidAlive(pid) ? [] : [`pid ${pid} of ${NAME} is gone`];
    },
    heal: async () => [await restarted(stack, NAME, pid), ...(await readsBack(injection))],
  });
};

const pauseMongod = (injection: Injection, ms: number): Promise<void> => {
  const { stack, fault, pause } = injection;
  const pid = stack.pid(NAME);
  return fault({
    target: NAME,
    action: `pause ${ms / 1000} s`,
    begin: async () => {
      const fromMs = performance.now();
      stack.pause(NAME);
      const proofs = stateOf(pid) === 'T' ? [`pid ${pid} of ${NAME} is stopped (T)`] : [];
      if (ms >= REFUSING_MIN_MS) proofs.push(...(await refusedReads(injection)));
      await pause(Math.max(0, ms - (performance.now() - fromMs)));
      return proofs;
    },
    heal: async () => {
      stack.resume(NAME);
      return readsBack(injection);
    },
  });
};

export const mongodNemeses: readonly Nemesis[] = [
  {
    name: 'kill-mongod',
    about: 'kill -9 of the only mongod every 5–10 s; reads are refused, then the projector catches up.',
    needs: { readStore: 'mongodb' },
    runbook: 'mongodb-down',
    run: async (injection) => {
      const { signal, random, pause } = injection;
      while (!signal.aborted) {
        await killMongod(injection);
        await pause(KILL_EVERY_MIN_MS + random() * KILL_EVERY_SPREAD_MS);
      }
    },
  },
  {
    name: 'pause-mongod',
    about: 'SIGSTOP of the only mongod for 2, 10, 40 s; reads are refused, then the projector catches up.',
    needs: { readStore: 'mongodb' },
    runbook: 'mongodb-down',
    run: async (injection) => {
      const { signal, pause } = injection;
      for (let i = 0; !signal.aborted; i += 1) {
        await pauseMongod(injection, PAUSES_MS[i % PAUSES_MS.length] ?? 2_000);
        await pause(BETWEEN_PAUSES_MS);
      }
    },
  },
];
