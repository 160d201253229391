/** The primary of PostgreSQL is killed, its standby promoted, and a new standby made; the address follows. */

import { query } from '@chat/testkit/checking/collect';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import type { PostgresPair } from '@chat/testkit/servers/postgres-pair';
import type { Injection, Nemesis } from '../../nemesis.ts';

const BETWEEN_MS = 5_000;
const SPREAD_MS = 5_000;
/** How long the asynchronous standby hears nothing before the primary dies: what is committed then is lost. */
const BEHIND_MIN_MS = 300;
const BEHIND_SPREAD_MS = 1_200;

const pairOf = ({ postgresPair }: ChatStack): PostgresPair => {
  if (!postgresPair) throw new Error('this stack has no standby');
  return postgresPair;
};

/** Last event of every partition, asked of the server past the address. */
const lastEvents = async (stack: ChatStack, pair: PostgresPair): Promise<ReadonlyMap<number, number>> => {
  const url = new URL(pair.primaryUrl());
  url.pathname = new URL(stack.databaseUrl).pathname;
  const rows = await query<{ p: number; last: string }>(
    url.href,
    'SELECT p, next_id - 1 AS last FROM partition ORDER BY p',
  );
  return new Map(rows.map(({ p, last }) => [p, Number(last)]));
};

const promoteOnce = async ({ stack, random, pause, fault }: Injection): Promise<void> => {
  const pair = pairOf(stack);
  const isAsync = pair.replication === 'async';
  await fault({
    target: 'postgres',
    action: `promotion of the ${isAsync ? 'asynchronous' : 'synchronous'} standby`,
    begin: async () => {
      if (isAsync) {
        pair.replicationLink.set({ kind: 'blackhole', direction: 'both' });
        await pause(BEHIND_MIN_MS + random() * BEHIND_SPREAD_MS);
      }
      const before = await lastEvents(stack, pair);
      const { oldPid, oldTimeline, newTimeline, lostWalBytes } = await pair.promote();
      const after = await lastEvents(stack, pair);
      if (newTimeline === oldTimeline) return [];
      let lostCount = 0;
      for (const [p, last] of before) lostCount += Math.max(0, last - (after.get(p) ?? last));
      return [
        `primary pid ${oldPid} was killed; timeline ${oldTimeline} went on as ${newTimeline}`,
        `the standby lacked ${lostWalBytes} bytes of log and came up with ${lostCount} events fewer than the primary had (or more were adopted meanwhile)`,
      ];
    },
    heal: async () => {
      const fromMs = performance.now();
      if (!pair.isPaired()) await pair.pair();
      return [`a new standby streams after ${Math.round(performance.now() - fromMs)} ms`];
    },
  });
};

const promote = (replication: 'sync' | 'async', about: string): Nemesis => ({
  name: `postgres-promote-${replication}`,
  about,
  needs: { postgres: replication === 'sync' ? 'sync-standby' : 'async-standby' },
  runbook: 'postgres-failover',
  run: async (injection) => {
    const { signal, random, pause } = injection;
    while (!signal.aborted) {
      await promoteOnce(injection);
      await pause(BETWEEN_MS + random() * SPREAD_MS);
    }
  },
});

export const postgresPromoteNemeses: readonly Nemesis[] = [
  promote('sync', 'The primary is killed and its synchronous standby promoted: nothing is lost.'),
  promote(
    'async',
    'The primary is killed and an asynchronous standby that lags promoted: writers adopt from the stream what the database lost.',
  ),
];
