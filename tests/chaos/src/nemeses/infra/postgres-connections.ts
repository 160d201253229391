/**
 * Somebody has every connection of PostgreSQL: an app gets none.
 *
 * Order: take until refused, end the apps' connections, take those too, and again, for the apps try all the time and
 * get some of theirs back in between. It goes on while the fault lasts: whatever connection an app wins is ended.
 */

import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import { delay } from '@chat/testkit/servers/ports';
import pg from 'pg';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { CHAOS_NAME, connect } from './postgres-busy.ts';

/** Then the apps' breakers are open, and a lease (4 s) has run out. */
const HELD_MS = 5_000;
const BETWEEN_MS = 3_000;
/** Far over `max_connections` of the stack; a server that never refuses is not exhausted, and so nothing is proven. */
const TAKEN_MAX_COUNT = 200;
/** Each is a process that the server must start. */
const AT_ONCE_COUNT = 4;
const TOO_MANY_CONNECTIONS = '53300';
const REFUSED_WORDS = 'too many clients';
const REFUSED_TIMEOUT_MS = 20_000;
/** Between two looks for what an app has won back. */
const LOOK_EVERY_MS = 100;

/** Waits for each to end, or its slot is not free yet when it is asked for. */
const TERMINATE_SQL = `
  SELECT count(pg_terminate_backend(pid, 1000))::int AS count FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND application_name <> $1 AND pid <> pg_backend_pid()`;

type Refusal = { readonly kind: 'refused' | 'late'; readonly words: string };

/** A refusal is a value; a server too busy to answer in time is asked again. */
const tryConnect = async (url: string): Promise<pg.Client | Refusal> => {
  try {
    return await connect(url);
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === TOO_MANY_CONNECTIONS) {
      return { kind: 'refused', words: `${error.code} ${error.message}` };
    }
    return { kind: 'late', words: error instanceof Error ? error.message : String(error) };
  }
};

/** Adds to `held` until the server refuses for want of a connection; answers its words, undefined: it never did. */
const takeUntilRefused = async (
  url: string,
  held: pg.Client[],
  isOver: () => boolean,
): Promise<string | undefined> => {
  let refusal: string | undefined;
  const take = async (): Promise<void> => {
    while (refusal === undefined && held.length < TAKEN_MAX_COUNT && !isOver()) {
      const answer = await tryConnect(url);
      if (answer instanceof pg.Client) held.push(answer);
      else if (answer.kind === 'refused') refusal = answer.words;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE_COUNT }, take));
  return refusal;
};

/** The lines in which an app says that it was refused; each has its time in it, so that no two are equal. */
const refusedLines = (stack: ChatStack): ReadonlyMap<string, string> => {
  const lines = new Map<string, string>();
  for (const name of stack.names) {
    if (name === 'postgres' || name.startsWith('nats')) continue;
    for (const line of stack.tail(name)) if (line.includes(REFUSED_WORDS)) lines.set(line, name);
  }
  return lines;
};

const newlyRefused = (stack: ChatStack, before: ReadonlyMap<string, string>): readonly string[] => [
  ...new Set([...refusedLines(stack)].filter(([line]) => !before.has(line)).map(([, name]) => name)),
];

/** From here on it is broken: an app that is not refused notices nothing. Bounded; then `heal` finds no proof. */
const someAppRefused = async (stack: ChatStack, before: ReadonlyMap<string, string>): Promise<void> => {
  const deadline = performance.now() + REFUSED_TIMEOUT_MS;
  while (newlyRefused(stack, before).length === 0 && performance.now() < deadline) await delay(LOOK_EVERY_MS);
};

const holdAll = async ({ stack, fault }: Injection): Promise<void> => {
  const held: pg.Client[] = [];
  let isOver = false;
  let endedCount = 0;
  let refusal: string | undefined;
  let before: ReadonlyMap<string, string> = new Map();
  let holding: Promise<unknown> | undefined;
  const takeRest = async (): Promise<number> => {
    const answer = await held[0]?.query<{ count: number }>(TERMINATE_SQL, [CHAOS_NAME]);
    refusal = (await takeUntilRefused(stack.databaseUrl, held, () => isOver)) ?? refusal;
    return answer?.rows[0]?.count ?? 0;
  };
  const keep = async (): Promise<void> => {
    while (!isOver) {
      endedCount += await takeRest();
      await delay(LOOK_EVERY_MS);
    }
  };
  await fault({
    target: 'postgres',
    action: `every connection held for ${HELD_MS / 1_000} s`,
    lastsMs: HELD_MS,
    begin: async () => {
      before = refusedLines(stack);
      refusal = await takeUntilRefused(stack.databaseUrl, held, () => isOver);
      // Settled also when it fails while the fault lasts; thrown by `heal`.
      holding = keep();
      holding.catch(() => undefined);
      await someAppRefused(stack, before);
      return [];
    },
    heal: async () => {
      isOver = true;
      await holding?.catch(() => undefined);
      const apps = newlyRefused(stack, before);
      const heldCount = held.length;
      await Promise.all(held.splice(0).map((client) => client.end()));
      if (refusal === undefined || apps.length === 0) return [];
      return [
        `with ${heldCount} connections taken the server refused: ${refusal}`,
        `${endedCount} connections of others were ended; ${apps.join(', ')} said so: ${REFUSED_WORDS}`,
      ];
    },
  });
};

export const postgresConnections: Nemesis = {
  name: 'postgres-connections',
  about:
    'Somebody takes every connection of PostgreSQL for 5 s, those of the apps too: they are refused (53300).',
  needs: { hasFewConnections: true },
  runbook: 'postgres-pool',
  run: async (injection) => {
    const { signal, random, pause } = injection;
    while (!signal.aborted) {
      await holdAll(injection);
      await pause(BETWEEN_MS * (0.5 + random()));
    }
  },
};
