/** kill -9 of one kind of process every 5 to 10 s; the platform starts it again. */

import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import { delay } from '@chat/testkit/servers/ports';
import type { Injection, Nemesis } from '../nemesis.ts';
import { pick } from '../random.ts';

const KILL_EVERY_MIN_MS = 5_000;
const KILL_EVERY_SPREAD_MS = 5_000;
const RESTART_TIMEOUT_MS = 30_000;
const POLL_MS = 20;

/** Names of the stack's processes of a kind: `writer` → `writer-1`, `writer-2`; `nats` → `nats`. */
export const processesOf = (stack: ChatStack, kind: string): readonly string[] =>
  stack.names.filter((name) => name === kind || name.startsWith(`${kind}-`));

export const isPidAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Waits until the platform has started it again; answers the proof. Throws when it does not: no hand may be needed. */
export const restarted = async (stack: ChatStack, name: string, deadPid: number): Promise<string> => {
  const deadline = performance.now() + RESTART_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (stack.isRunning(name) && stack.pid(name) !== deadPid) {
      return `${name} runs again as pid ${stack.pid(name)}`;
    }
    await delay(POLL_MS);
  }
  throw new Error(`${name} did not come back within ${RESTART_TIMEOUT_MS} ms`);
};

export const killOne = ({ stack, fault }: Injection, name: string): Promise<void> => {
  const pid = stack.pid(name);
  return fault({
    target: name,
    action: 'kill -9',
    begin: async () => {
      await stack.kill(name);
      return isPidAlive(pid) ? [] : [`pid ${pid} of ${name} is gone`];
    },
    heal: async () => [await restarted(stack, name, pid)],
  });
};

const killNemesis = (kind: string, about: string, runbook: string): Nemesis => ({
  name: `kill-${kind}`,
  about,
  needs: {},
  runbook,
  run: async (injection) => {
    const { stack, signal, random, pause } = injection;
    while (!signal.aborted) {
      await killOne(injection, pick(random, processesOf(stack, kind)));
      await pause(KILL_EVERY_MIN_MS + random() * KILL_EVERY_SPREAD_MS);
    }
  },
});

export const killNemeses: readonly Nemesis[] = [
  killNemesis('writer', 'kill -9 of a writer every 5–10 s; the other takes its partitions.', 'process-died'),
  killNemesis(
    'gateway',
    'kill -9 of a gateway every 5–10 s; its clients resume at the other.',
    'process-died',
  ),
  killNemesis('projector', 'kill -9 of a projector every 5–10 s; reads lag and catch up.', 'process-died'),
  killNemesis('api', 'kill -9 of an api every 5–10 s; HTTP senders send again.', 'process-died'),
  killNemesis('nats', 'kill -9 of NATS every 5–10 s; its store is read again.', 'nats-down'),
  killNemesis('postgres', 'kill -9 of PostgreSQL every 5–10 s; it recovers from its log.', 'postgres-down'),
];
