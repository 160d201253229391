/** The disk under a server has no byte left, for 20 s at a time; then there is room again, and nobody lends a hand. */

import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import { delay } from '@chat/testkit/servers/ports';
import type { SmallDisk } from '@chat/testkit/servers/small-disk';
import type { Injection, Nemesis } from '../../nemesis.ts';

/** The end of the nemesis cuts the last one short. */
const FULL_MS = 20_000;
const BETWEEN_MS = 4_000;
const LISTEN_EVERY_MS = 50;
/** What the servers write in their log when they cannot write anything else. */
const COMPLAINT = /no space left on device/i;

const diskOf = ({ smallDisk }: ChatStack): SmallDisk => {
  if (!smallDisk) throw new Error('this stack has no small disk');
  return smallDisk;
};

/** Gathers what the server says about its disk, over its restarts too: each start begins its lines anew. */
const listen = (stack: ChatStack, server: string) => {
  const before = new Set(stack.tail(server));
  const heard = new Set<string>();
  let isOver = false;
  const look = (): void => {
    for (const line of stack.tail(server)) if (!before.has(line) && COMPLAINT.test(line)) heard.add(line);
  };
  const looking = (async () => {
    for (; !isOver; await delay(LISTEN_EVERY_MS)) look();
  })();
  return {
    stop: async (): Promise<ReadonlySet<string>> => {
      isOver = true;
      await looking;
      look();
      return heard;
    },
  };
};

const fillOnce = async ({ stack, fault }: Injection, server: string): Promise<void> => {
  const disk = diskOf(stack);
  const firstPid = stack.pid(server);
  let listening: ReturnType<typeof listen> | undefined;
  await fault({
    target: server,
    action: `disk full for ${FULL_MS / 1_000} s`,
    lastsMs: FULL_MS,
    begin: async () => {
      listening = listen(stack, server);
      await disk.fill();
      return [];
    },
    heal: async () => {
      const freeBytes = await disk.freeBytes();
      const heard = (await listening?.stop()) ?? new Set<string>();
      await disk.release();
      const [first] = heard;
      // A full disk that nobody wrote to proves nothing.
      if (first === undefined) return [];
      const isSame = stack.isRunning(server) && stack.pid(server) === firstPid;
      return [
        `${freeBytes} bytes were free at the end; ${server} wrote: ${first.slice(0, 300)}`,
        `${heard.size} such lines; ${isSame ? `pid ${firstPid} lived through it` : `pid ${firstPid} ended`}`,
      ];
    },
  });
};

const diskFull = (server: 'nats' | 'postgres', about: string): Nemesis => ({
  name: `disk-full-${server}`,
  about,
  needs: { smallDisk: server },
  runbook: 'disk-full',
  run: async (injection) => {
    const { signal, random, pause } = injection;
    while (!signal.aborted) {
      await fillOnce(injection, server);
      await pause(BETWEEN_MS * (0.5 + random()));
    }
  },
});

export const diskFullNemeses: readonly Nemesis[] = [
  diskFull(
    'nats',
    'The disk under NATS is full for 20 s: it stores nothing, and what it cannot store it refuses.',
  ),
  diskFull(
    'postgres',
    'The disk under PostgreSQL is full for 20 s: commits fail or wait; nothing is half written.',
  ),
];
