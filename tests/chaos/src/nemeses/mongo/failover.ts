/** The primary of a MongoDB set of three dies (kill -9) or steps down, in turn, every ten seconds; the others elect. */

import { eventually } from '@chat/testkit/checking/eventually';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import type { MongoSet, MongoSetMember } from '@chat/testkit/servers/mongo-set';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { isPidAlive } from '../kill.ts';
import { readsBack } from './reads.ts';

const EVERY_MS = 10_000;
const BETWEEN_MIN_MS = 1_000;
/** An election takes seconds; a machine that is nobody's own may stand still for longer. */
const ELECTION_TIMEOUT_MS = 60_000;
/** For as long as that it stands for no election. */
const STEP_DOWN_SECONDS = 10;

const setOf = ({ mongo }: ChatStack): MongoSet => {
  if (!mongo?.set) throw new Error('this stack has no MongoDB set');
  return mongo.set;
};

const primaryOf = (set: MongoSet, notThis?: string): Promise<MongoSetMember> =>
  eventually(
    notThis ? `another primary than ${notThis}` : 'a primary',
    async () => {
      const primary = await set.primary();
      return primary && primary.name !== notThis ? primary : undefined;
    },
    { timeoutMs: ELECTION_TIMEOUT_MS },
  );

const another = async (set: MongoSet, before: string): Promise<string> =>
  `the primary was ${before}, is ${(await primaryOf(set, before)).name}`;

const killPrimary = async (injection: Injection): Promise<void> => {
  const { stack, fault } = injection;
  const set = setOf(stack);
  const { name } = await primaryOf(set);
  const pid = stack.pid(name);
  await fault({
    target: name,
    action: 'kill -9 of the primary',
    begin: async () => {
      await stack.kill(name);
      // Not started again by the platform before the others have elected: it could be their choice again.
      await stack.stop(name);
      const gone = isPidAlive(pid) ? [] : [`pid ${pid} of ${name} is gone`];
      return [...gone, await another(set, name)];
    },
    heal: async () => {
      const proofs = await readsBack(injection);
      await stack.start(name);
      return proofs;
    },
  });
};

const stepDown = async (injection: Injection): Promise<void> => {
  const { stack, fault } = injection;
  const set = setOf(stack);
  const primary = await primaryOf(set);
  await fault({
    target: primary.name,
    action: 'the primary steps down',
    begin: async () => {
      // Refused while no secondary is near enough to take over; the one that was killed may still be reading.
      await eventually(
        `${primary.name} steps down`,
        async () => {
          // The answer may be lost with the connections that it closes.
          if ((await set.primary())?.name === primary.name) await set.stepDown(primary, STEP_DOWN_SECONDS);
          return true;
        },
        { timeoutMs: ELECTION_TIMEOUT_MS },
      );
      return [await another(set, primary.name)];
    },
    heal: () => readsBack(injection),
  });
};

export const mongoFailover: Nemesis = {
  name: 'mongo-failover',
  about: 'The primary of three mongod is killed with -9 or steps down, every 10 s; another is elected.',
  needs: { readStore: 'mongodb-set' },
  runbook: 'mongodb-down',
  run: async (injection) => {
    const { signal, random, pause } = injection;
    let isKill = random() < 0.5;
    while (!signal.aborted) {
      const fromMs = performance.now();
      await (isKill ? killPrimary : stepDown)(injection);
      isKill = !isKill;
      await pause(Math.max(BETWEEN_MIN_MS, EVERY_MS - (performance.now() - fromMs)));
    }
  },
};
