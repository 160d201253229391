/**
 * NATS loses what it had not yet synced: it is killed, and starts on its store as that was some seconds before.
 * What was only accepted may be gone with it; what was persisted is in PostgreSQL and is appended again.
 */

import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cmdStream, evtStream } from '@chat/contracts/streams';
import { streamInfo } from '@chat/testkit/checking/collect';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import { natsAccess } from '../../dump.ts';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { isPidAlive, restarted } from '../kill.ts';

/** How much older the store is: by default NATS syncs every two minutes; shorter, so that rounds hold several. */
const OLDER_MIN_MS = 500;
const OLDER_SPREAD_MS = 3_500;
const BETWEEN_MS = 4_000;

type Ends = ReadonlyMap<string, number>;

const endsOf = async (stack: ChatStack): Promise<Ends> => {
  const ends = new Map<string, number>();
  for (let p = 0; p < stack.partitions; p += 1) {
    for (const stream of [cmdStream(p), evtStream(p)]) {
      ends.set(stream, (await streamInfo(natsAccess(stack), stream)).lastSeq);
    }
  }
  return ends;
};

/** As it stands between two instructions of the server, so that no file is half of one moment and half of another. */
const copyStore = async (stack: ChatStack, store: string, copy: string): Promise<void> => {
  await rm(copy, { recursive: true, force: true });
  stack.pause('nats');
  try {
    await cp(store, copy, { recursive: true });
  } finally {
    stack.resume('nats');
  }
};

const losePower = async ({ stack, random, pause, fault }: Injection): Promise<void> => {
  const store = join(stack.nats.dataDir, 'jetstream');
  const copy = join(stack.folder, 'nats-older');
  const pid = stack.pid('nats');
  const olderMs = OLDER_MIN_MS + random() * OLDER_SPREAD_MS;
  await fault({
    target: 'nats',
    action: 'power loss',
    begin: async () => {
      const before = await endsOf(stack);
      await copyStore(stack, store, copy);
      await pause(olderMs);
      const after = await endsOf(stack);
      await stack.kill('nats');
      await stack.stop('nats'); // the platform's restart would be quicker than the copy
      await rm(store, { recursive: true });
      await rename(copy, store);
      const lost = [...after].filter(([stream, last]) => last > (before.get(stream) ?? last));
      if (isPidAlive(pid) || lost.length === 0) return [];
      const words = lost.map(([stream, last]) => `${stream} from ${last} to about ${before.get(stream)}`);
      return [
        `pid ${pid} of nats is gone`,
        `its store is ${Math.round(olderMs)} ms older: ${words.join(', ')}`,
      ];
    },
    heal: async () => {
      await stack.start('nats');
      await rm(copy, { recursive: true, force: true });
      return [await restarted(stack, 'nats', pid)];
    },
  });
};

export const natsPowerLoss: Nemesis = {
  name: 'nats-power-loss',
  about: 'NATS is killed and its store put back to what it was up to 4 s before, as after a power loss.',
  needs: {},
  runbook: 'nats-store-lost',
  allows: ['ACCEPTED_WITHOUT_OUTCOME'],
  run: async (injection) => {
    const { signal, random, pause } = injection;
    while (!signal.aborted) {
      await losePower(injection);
      await pause(BETWEEN_MS * (0.5 + random()));
    }
  },
};
