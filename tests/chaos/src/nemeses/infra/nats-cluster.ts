/** kill -9 of members of a NATS cluster of three: the leader of a stream, two at once, all three. */

import { evtStream } from '@chat/contracts/streams';
import { eventually } from '@chat/testkit/checking/eventually';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import type { NatsCluster } from '@chat/testkit/servers/nats-cluster';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { isPidAlive, restarted } from '../kill.ts';

const LEADER_KILL_EVERY_MS = 15_000;
/** After the cluster is whole again. */
const BETWEEN_MS = 3_000;
/** A pause of a person's length between two that die of one cause. */
const ELECTION_TIMEOUT_MS = 30_000;
const SETTLED_TIMEOUT_MS = 60_000;

const clusterOf = ({ natsCluster }: ChatStack): NatsCluster => {
  if (!natsCluster) throw new Error('this stack has no NATS cluster');
  return natsCluster;
};

const leaderOf = (cluster: NatsCluster, stream: string): Promise<string> =>
  eventually(`${stream} has a leader`, async () => (await cluster.placement(stream)).leader, {
    timeoutMs: ELECTION_TIMEOUT_MS,
  });

/** In random order, without repeating one. */
const shuffled = (names: readonly string[], random: () => number): readonly string[] =>
  names
    .map((name) => ({ name, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ name }) => name);

const killMembers = async (
  { stack, fault }: Injection,
  names: readonly string[],
  action: string,
  /** While they are down. */
  onDead?: () => Promise<readonly string[]>,
): Promise<void> => {
  const pids = new Map(names.map((name) => [name, stack.pid(name)]));
  await fault({
    target: names.join('+'),
    action,
    begin: async () => {
      await Promise.all(names.map((name) => stack.kill(name)));
      // Not started again by the platform before the others have elected: it could be their choice again.
      if (onDead) await Promise.all(names.map((name) => stack.stop(name)));
      const gone = [...pids].filter(([, pid]) => !isPidAlive(pid));
      return [...gone.map(([name, pid]) => `pid ${pid} of ${name} is gone`), ...((await onDead?.()) ?? [])];
    },
    heal: async () => {
      const proofs: string[] = [];
      if (onDead) for (const name of names) await stack.start(name);
      for (const [name, pid] of pids) proofs.push(await restarted(stack, name, pid));
      await clusterOf(stack).settled(SETTLED_TIMEOUT_MS);
      return [...proofs, 'every stream has its leader, every follower is current'];
    },
  });
};

const leaderKill: Nemesis = {
  name: 'nats-leader-kill',
  about:
    'kill -9 of the NATS server that leads an event stream, every 15 s; the others elect another leader.',
  needs: { nats: 'cluster' },
  runbook: 'nats-leader-lost',
  run: async (injection) => {
    const { stack, signal, random, pause } = injection;
    const cluster = clusterOf(stack);
    while (!signal.aborted) {
      const fromMs = performance.now();
      const stream = evtStream(Math.floor(random() * stack.partitions));
      const leader = await leaderOf(cluster, stream);
      await killMembers(injection, [leader], `kill -9 of the leader of ${stream}`, async () => {
        const next = await eventually(
          `${stream} has another leader`,
          async () => {
            const now = (await cluster.placement(stream)).leader;
            return now === leader ? undefined : now;
          },
          { timeoutMs: ELECTION_TIMEOUT_MS },
        );
        return [`leader of ${stream} was ${leader}, is ${next}`];
      });
      await pause(Math.max(BETWEEN_MS, LEADER_KILL_EVERY_MS - (performance.now() - fromMs)));
    }
  },
};

const killSome = (count: number, name: string, about: string, runbook: string): Nemesis => ({
  name,
  about,
  needs: { nats: 'cluster' },
  runbook,
  run: async (injection) => {
    const { stack, signal, random, pause } = injection;
    const names = clusterOf(stack).members.map((member) => member.name);
    while (!signal.aborted) {
      await killMembers(injection, shuffled(names, random).slice(0, count), `kill -9 of ${count} of 3`);
      await pause(BETWEEN_MS + LEADER_KILL_EVERY_MS * random());
    }
  },
});

export const natsClusterNemeses: readonly Nemesis[] = [
  leaderKill,
  killSome(
    2,
    'nats-two-of-three',
    'kill -9 of two NATS servers of three at once: no majority, nothing is accepted until one is back.',
    'nats-down',
  ),
  killSome(
    3,
    'nats-all-three',
    'kill -9 of all three NATS servers at once; they read their stores again.',
    'nats-down',
  ),
];
