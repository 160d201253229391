/** The real system as a target: every app as its own process, limits of single users raised, all else as in production. */

import { partitionOf } from '@chat/contracts/ids';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import { type SeedPlan, seedTeam } from '@chat/testkit/processes/seed-team';
import { cpuUs, cpuWithChildrenUs } from './cpu.ts';
import type { LoadChannel } from './load-plan.ts';
import type { Scenario } from './scenarios.ts';
import type { Target } from './target.ts';

const PARTITION_COUNT = 4;
const OWNER = 'bench-owner';
/** Team ids name their partition at random; this many tries find one in each of four (misses once in 10⁹ runs). */
const TEAM_TRIES_MAX_COUNT = 80;
const SEED_DEADLINE_MS = 120_000;
const MANY = '100000000';

/** What a person would never reach: messages a minute, and the like. Bounds of memory stay as they are. */
const raisedLimits = {
  gateway: { MESSAGE_BURST_COUNT: MANY, MESSAGE_SUSTAINED_COUNT: MANY },
} as const;

export type StackTargetOptions = {
  readonly profileFolder?: string;
  readonly readStore?: 'postgres' | 'mongodb';
};

const seed = (stack: ChatStack, plan: Omit<SeedPlan, 'owner'>) =>
  seedTeam(
    { owner: OWNER, ...plan },
    { apiUrl: stack.apiUrl, mintToken: (user) => stack.mintToken(user), deadlineMs: SEED_DEADLINE_MS },
  );

/** Names of `count` teams in distinct partitions. */
const findTeams = async (stack: ChatStack, prefix: string, count: number): Promise<readonly string[]> => {
  const byPartition = new Map<number, string>();
  for (let tried = 0; tried < TEAM_TRIES_MAX_COUNT && byPartition.size < count; tried += 1) {
    const name = `${prefix} ${tried}`;
    const { teamId } = await seed(stack, { name, members: [], channels: [] });
    if (!byPartition.has(partitionOf(teamId))) byPartition.set(partitionOf(teamId), name);
  }
  return [...byPartition.values()];
};

const seedChannels = async (
  stack: ChatStack,
  scenario: Scenario,
  users: readonly (readonly string[])[],
): Promise<readonly LoadChannel[]> => {
  const teams = await findTeams(
    stack,
    `bench ${scenario.name}`,
    Math.min(stack.partitions, scenario.channelCount),
  );
  const seeded = await Promise.all(
    teams.map(async (name, team) => {
      const mine = users
        .map((members, index) => ({ members, index }))
        .filter(({ index }) => index % teams.length === team);
      const channels = mine.map(({ members, index }) => ({ name: `c${index}`, members }));
      const members = mine.flatMap((channel) => channel.members);
      return { mine, ...(await seed(stack, { name, members, channels })) };
    }),
  );
  const channels: LoadChannel[] = [];
  for (const { mine, teamId, channels: ids } of seeded) {
    for (const { members, index } of mine) {
      const planned = members.map(async (userId) => ({
        path: `/ws/${teamId}`,
        token: await stack.mintToken(userId, { ttlSeconds: 24 * 3600 }),
        userId,
      }));
      channels[index] = { channelId: ids[`c${index}`]!, members: await Promise.all(planned) };
    }
  }
  return channels;
};

/** With the stack itself, for what needs more than channels and members. */
export type StackTarget = Target & { readonly stack: ChatStack };

export const startStackTarget = async (options: StackTargetOptions = {}): Promise<StackTarget> => {
  const { profileFolder, readStore = 'postgres' } = options;
  const profile = profileFolder ? ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`] : [];
  const stack = await startChatStack({
    gateways: 1,
    writers: 1,
    partitions: PARTITION_COUNT,
    readStore,
    logLevel: 'warn',
    env: raisedLimits,
    nodeArgs: { gateway: profile, writer: profile, projector: profile },
  });
  const { hostname, port } = new URL(stack.gatewayUrls[0]!);
  const seeded = new Map<string, Promise<readonly LoadChannel[]>>();
  const nodeProcesses = { gateway: 'gateway-1', writer: 'writer-1', projector: 'projector-1', api: 'api-1' };
  return {
    stack,
    name: 'RealTimeChat',
    address: { host: hostname, port: Number(port) },
    channelsOf: (scenario, users) => {
      const key = `${scenario.channelCount}x${scenario.membersPerChannelCount}`;
      const known = seeded.get(key) ?? seedChannels(stack, scenario, users);
      seeded.set(key, known);
      return known;
    },
    clocks: () => ({
      nats: cpuUs(stack.pid('nats')),
      postgres: cpuWithChildrenUs(stack.pid('postgres')),
      ...(readStore === 'mongodb' ? { mongod: cpuUs(stack.pid('mongod')) } : {}),
      ...Object.fromEntries(
        Object.entries(nodeProcesses)
          .filter(([, process]) => stack.isRunning(process))
          .map(([name, process]) => [name, cpuUs(stack.pid(process))]),
      ),
    }),
    faults: () => [],
    stop: stack.stopAll,
  };
};
