/** A PostgreSQL that answers everything, late: an overloaded disk or host. It stands still most of the time. */

import { delay } from '@chat/testkit/servers/ports';
import type pg from 'pg';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { connect } from './postgres-busy.ts';

const SLOW_MS = 6_000;
const BETWEEN_MS = 2_000;
/** Of each half second it works for 50 ms: a statement takes a quarter of a second more, a transaction several. */
const STILL_MS = 450;
const WORKS_MS = 50;
/** What `SELECT 1` takes on a busy machine is far less. */
const PROOF_MIN_MS = 300;

const timedMs = async (client: pg.Client): Promise<number> => {
  const fromMs = performance.now();
  await client.query('SELECT 1');
  return performance.now() - fromMs;
};

/** Stops and continues it until `isOver`; answers how long a `SELECT 1` sent at each stop took. It works at the end. */
const standStill = async (
  { stack }: Injection,
  client: pg.Client,
  isOver: () => boolean,
): Promise<readonly number[]> => {
  const tookMs: number[] = [];
  do {
    stack.pause('postgres');
    // Settled also when it fails while the pause below goes on; thrown after that.
    const asked = Promise.allSettled([timedMs(client)]);
    try {
      await delay(STILL_MS);
    } finally {
      stack.resume('postgres');
    }
    const [answer] = await asked;
    if (answer.status === 'rejected') throw answer.reason;
    tookMs.push(answer.value);
    await delay(WORKS_MS);
  } while (!isOver());
  return tookMs;
};

const slowOnce = async (injection: Injection): Promise<void> => {
  let client: pg.Client | undefined;
  let isOver = false;
  let beforeMs = 0;
  let slow: Promise<readonly PromiseSettledResult<readonly number[]>[]> | undefined;
  await injection.fault({
    target: 'postgres',
    action: `stands still ${STILL_MS} of every ${STILL_MS + WORKS_MS} ms, for ${SLOW_MS / 1_000} s`,
    lastsMs: SLOW_MS,
    begin: async () => {
      client = await connect(injection.stack.databaseUrl);
      beforeMs = await timedMs(client);
      slow = Promise.allSettled([standStill(injection, client, () => isOver)]);
      return [];
    },
    heal: async () => {
      isOver = true;
      const [result] = (await slow) ?? [];
      await client?.end();
      if (result?.status === 'rejected') throw result.reason;
      const tookMs = result?.value ?? [];
      const slowest = Math.max(0, ...tookMs);
      if (slowest < PROOF_MIN_MS) return [];
      const range = `${Math.round(Math.min(...tookMs))} to ${Math.round(slowest)} ms`;
      return [`SELECT 1 took ${Math.round(beforeMs)} ms before, then ${tookMs.length} times ${range}`];
    },
  });
};

export const postgresSlow: Nemesis = {
  name: 'postgres-slow',
  about: 'PostgreSQL stands still for 450 ms of every 500 ms, for 6 s: every statement is slow, none fails.',
  needs: {},
  runbook: 'postgres-slow',
  run: async (injection) => {
    const { signal, random, pause } = injection;
    while (!signal.aborted) {
      await slowOnce(injection);
      await pause(BETWEEN_MS * (0.5 + random()));
    }
  },
};
