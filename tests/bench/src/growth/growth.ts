/**
 * `--only growth`: CPU µs a message at a fixed rate while one thing grows: the members of a channel, the idle sockets
 * beside the load, the channels the load is spread over. The rate is the same on both sides, so that what a server
 * joins in one turn is as much, and low enough that the machine is not full.
 */

import { LOAD_CLIENT } from '../measure.ts';
import { openLoopOn } from '../latency/latency.ts';
import type { OpenLoopSocket } from '../latency/open-loop-plan.ts';
import { type OpenLoopRound, runOpenLoop } from '../latency/open-loop-round.ts';
import type { Scenario } from '../scenarios.ts';
import type { StackTarget } from '../stack-target.ts';

export type GrowthSizes = {
  readonly members: readonly number[];
  readonly idleSockets: readonly number[];
  readonly channels: readonly number[];
  readonly perSecond: number;
  readonly warmupMs: number;
  readonly measureMs: number;
};

export const growthSizes: GrowthSizes = {
  members: [10, 1000],
  idleSockets: [1000, 10_000],
  channels: [10, 10_000],
  perSecond: 500,
  warmupMs: 2_000,
  measureMs: 6_000,
};

export type GrowthRow = { readonly what: string; readonly count: number; readonly round: OpenLoopRound };

const OWNER = 'bench-owner';
const TEXT_BYTES = 200;
const CONNECTING_MAX_COUNT = 32;
const IDLE_USERS_MAX_COUNT = 100;
/** Teams the channels lie in: one member each, one socket a member. */
const CHANNEL_TEAMS_MAX_COUNT = 20;
const TOKEN_TTL_SECONDS = 24 * 3600;

const scenarioOf = (channelCount: number, membersPerChannelCount: number): Scenario => ({
  name: `growth ${channelCount}x${membersPerChannelCount}`,
  channelCount,
  membersPerChannelCount,
  inFlightCount: 1,
  senders: 'together',
  textBytes: TEXT_BYTES,
  unit: 'messages',
  aimRatio: undefined,
  barePerSecond: undefined,
});

/** Sockets of another team, of users with several each. */
const idleSockets = async ({ stack }: StackTarget, count: number): Promise<readonly OpenLoopSocket[]> => {
  const users = Array.from({ length: Math.min(IDLE_USERS_MAX_COUNT, count) }, (_, n) => `idle${n}`);
  const { teamId } = await stack.seedTeam({ name: 'idle', owner: OWNER, members: users, channels: [] });
  const tokens = await Promise.all(
    users.map((user) => stack.mintToken(user, { ttlSeconds: TOKEN_TTL_SECONDS })),
  );
  return Array.from({ length: count }, (_, n) => ({
    path: `/ws/${teamId}`,
    token: tokens[n % tokens.length]!,
  }));
};

/** `count` channels over teams, each channel with one member (the team's owner), one socket a team. */
const manyChannels = async ({ stack }: StackTarget, count: number) => {
  const teamCount = Math.min(CHANNEL_TEAMS_MAX_COUNT, count);
  const owners = Array.from({ length: teamCount }, (_, n) => `o${String(n).padStart(5, '0')}`);
  const seeded = await Promise.all(
    owners.map((owner, team) => {
      const length = Math.ceil((count - team) / teamCount);
      const channels = Array.from({ length }, (_, n) => ({ name: `c${n}`, members: [] }));
      return stack.seedTeam({ name: `growth ${count}`, owner, members: [], channels });
    }),
  );
  const tokens = await Promise.all(
    owners.map((owner) => stack.mintToken(owner, { ttlSeconds: TOKEN_TTL_SECONDS })),
  );
  return {
    sockets: seeded.map(({ teamId }, team) => ({ path: `/ws/${teamId}`, token: tokens[team]! })),
    channels: seeded.flatMap(({ channels }, team) =>
      Object.values(channels).map((channelId) => ({ channelId, members: [team] })),
    ),
    userIdLength: owners[0]!.length,
  };
};

export const measureGrowth = async (
  target: StackTarget,
  sizes: GrowthSizes,
  say: (line: string) => void,
): Promise<readonly GrowthRow[]> => {
  const { perSecond, warmupMs, measureMs } = sizes;
  const shape = { perSecond, warmupMs, measureMs };
  const rows: GrowthRow[] = [];
  const keep = (what: string, count: number, round: OpenLoopRound): void => {
    rows.push({ what, count, round });
    say(`${what} ${count}: ${JSON.stringify(round.cpuUsPerMessage)}`);
  };
  for (const count of sizes.members)
    keep('members', count, await openLoopOn(target, scenarioOf(1, count), shape));
  for (const count of sizes.idleSockets) {
    const idle = await idleSockets(target, count);
    const round = await openLoopOn(target, scenarioOf(10, 10), { ...shape, idleSockets: idle });
    keep('idle sockets', count, round);
  }
  for (const count of sizes.channels) {
    const spread = await manyChannels(target, count);
    const rest = { idleSockets: [], textBytes: TEXT_BYTES, connectingMaxCount: CONNECTING_MAX_COUNT };
    keep(
      'channels',
      count,
      await runOpenLoop({ ...target.address, ...spread, ...shape, ...rest }, target.clocks),
    );
  }
  return rows;
};

export const growthReport = (rows: readonly GrowthRow[], perSecond: number): string => {
  const names = Object.keys(rows[0]?.round.cpuUsPerMessage ?? {});
  const servers = names.filter((name) => name !== LOAD_CLIENT);
  const lines = rows.map(({ what, count, round }) => {
    const used = round.cpuUsPerMessage;
    const all = servers.reduce((sum, name) => sum + used[name]!, 0);
    const cells = [...names.map((name) => used[name]!), all].map((value) => value.toFixed(0));
    const rest = [round.load.toLastMember.p99Ms.toFixed(1), round.othersCores.toFixed(2)];
    return `| ${[what, count.toLocaleString('en'), ...cells, ...rest].join(' | ')} |`;
  });
  const head = ['what grows', 'to', ...names, 'all servers', 'last member p99 ms', 'others (cores)'];
  return [
    `CPU µs a message at ${perSecond} msg/s:`,
    '',
    `| ${head.join(' | ')} |`,
    `| ${head.map(() => '---').join(' | ')} |`,
    ...lines,
  ].join('\n');
};
