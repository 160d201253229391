/**
 * `--only latency`: an open loop at half of the measured maximum, against the sum of the raw hops of a message in the
 * same run: an echo of uWebSockets.js, two appends (command, event) and one commit, each at the same rate.
 */

import { runOn } from '../bench.ts';
import type { Scenario } from '../scenarios.ts';
import type { StackTarget } from '../stack-target.ts';
import { type Target, usersOf } from '../target.ts';
import { type OpenLoopPlan, type Quantiles, socketsOf } from './open-loop-plan.ts';
import { type OpenLoopRound, runOpenLoop } from './open-loop-round.ts';
import { measureAppend, measureCommit } from './raw-hops.ts';

export type LatencySizes = {
  readonly channelCount: number;
  readonly membersPerChannelCount: number;
  /** Of the closed loop that finds the maximum. */
  readonly inFlightCount: number;
  readonly warmupMs: number;
  readonly measureMs: number;
};

export const latencySizes: LatencySizes = {
  channelCount: 100,
  membersPerChannelCount: 10,
  inFlightCount: 512,
  warmupMs: 4_000,
  measureMs: 15_000,
};

export type LatencyResult = {
  readonly maxPerSecond: number;
  readonly perSecond: number;
  readonly ours: OpenLoopRound;
  readonly echo: OpenLoopRound;
  readonly append: Quantiles;
  readonly commit: Quantiles;
  /** Echo + two appends + a commit. */
  readonly hops: Quantiles;
  readonly faults: readonly string[];
};

export const AIM_P99_RATIO = 2;
const TEXT_BYTES = 200;
/** An event of such a message, as stored. */
const EVENT_BYTES = 480;
const CONNECTING_MAX_COUNT = 32;

const scenarioOf = (sizes: LatencySizes): Scenario => ({
  ...sizes,
  name: `${sizes.channelCount}x${sizes.membersPerChannelCount}`,
  // As the open loop sends: to all channels in turn. With senders who talk together the maximum would be one of frames that
  // hold several events, and its half not half of what this traffic can reach.
  senders: 'apart',
  textBytes: TEXT_BYTES,
  unit: 'messages',
  aimRatio: undefined,
  barePerSecond: undefined,
});

export const openLoopOn = async (
  target: Target,
  scenario: Scenario,
  shape: Pick<OpenLoopPlan, 'perSecond' | 'warmupMs' | 'measureMs'> & Partial<OpenLoopPlan>,
): Promise<OpenLoopRound> => {
  const users = usersOf(scenario);
  const plan: OpenLoopPlan = {
    ...target.address,
    ...socketsOf(await target.channelsOf(scenario, users)),
    idleSockets: [],
    userIdLength: users[0]![0]!.length,
    textBytes: scenario.textBytes,
    connectingMaxCount: CONNECTING_MAX_COUNT,
    ...shape,
  };
  return runOpenLoop(plan, target.clocks);
};

const sumOf = (...parts: readonly Quantiles[]): Quantiles => {
  const sum = (pick: (of: Quantiles) => number): number =>
    parts.reduce((total, part) => total + pick(part), 0);
  return { p50Ms: sum((q) => q.p50Ms), p99Ms: sum((q) => q.p99Ms), p999Ms: sum((q) => q.p999Ms) };
};

export const measureLatency = async (
  ours: StackTarget,
  raw: Target,
  sizes: LatencySizes,
  say: (line: string) => void,
): Promise<LatencyResult> => {
  const scenario = scenarioOf(sizes);
  const maximum = await runOn(ours, scenario, sizes);
  const maxPerSecond = maximum.load.messageCount / maximum.load.seconds;
  const perSecond = Math.max(1, Math.round(maxPerSecond / 2));
  say(`maximum ${Math.round(maxPerSecond)} msg/s; open loop at ${perSecond} msg/s, then its raw hops …`);
  const { warmupMs, measureMs } = sizes;
  const shape = { perSecond, warmupMs, measureMs };
  const hop = { perSecond, seconds: measureMs / 1000, payloadBytes: EVENT_BYTES };
  const whole = await openLoopOn(ours, scenario, shape);
  const echo = await openLoopOn(raw, scenario, shape);
  const append = await measureAppend(ours.stack, hop);
  const commit = await measureCommit(ours.stack, hop);
  const hops = sumOf(echo.load.toOwnEvent, append, append, commit);
  const faults = [maximum.load, whole.load, echo.load].flatMap((load) => load.faults);
  return {
    maxPerSecond,
    perSecond,
    ours: whole,
    echo,
    append,
    commit,
    hops,
    faults: [...faults, ...raw.faults(), ...ours.faults()],
  };
};

const row = (name: string, q: Quantiles): string =>
  `| ${[name, q.p50Ms.toFixed(1), q.p99Ms.toFixed(1), q.p999Ms.toFixed(1)].join(' | ')} |`;

/** Of all processes, the client among them. */
const coresOf = ({ cpuUsPerMessage, load }: OpenLoopRound): number =>
  (Object.values(cpuUsPerMessage).reduce((sum, us) => sum + us, 0) * load.messageCount) / load.seconds / 1e6;

const usesOf = ({ cpuUsPerMessage }: OpenLoopRound): string =>
  Object.entries(cpuUsPerMessage)
    .map(([name, us]) => `${name} ${us.toFixed(0)}`)
    .join(', ');

export const latencyReport = (result: LatencyResult): string => {
  const { ours, echo, hops } = result;
  const { toOwnEvent } = ours.load;
  return [
    `Maximum ${Math.round(result.maxPerSecond)} msg/s; open loop at ${result.perSecond} msg/s, ` +
      `others ${ours.othersCores.toFixed(2)} cores (echo ${echo.othersCores.toFixed(2)}):`,
    '',
    '| from the schedule, ms | p50 | p99 | p99.9 |',
    '| --- | --- | --- | --- |',
    row('ours: persisted', ours.load.toPersisted),
    row('ours: own event', toOwnEvent),
    row('ours: last member', ours.load.toLastMember),
    row('ours: client wrote', ours.load.writeLag),
    row('raw: echo (own event)', echo.load.toOwnEvent),
    row('raw: one append', result.append),
    row('raw: commit', result.commit),
    row('raw: echo + two appends + commit', hops),
    '',
    `CPU: ${coresOf(ours).toFixed(2)} cores at ${result.perSecond} msg/s (${usesOf(ours)} µs a message)`,
    '',
    `Own event / hops: p50 ${(toOwnEvent.p50Ms / hops.p50Ms).toFixed(2)}, ` +
      `p99 ${(toOwnEvent.p99Ms / hops.p99Ms).toFixed(2)} (aim ≤ ${AIM_P99_RATIO}), ` +
      `p99.9 ${(toOwnEvent.p999Ms / hops.p999Ms).toFixed(2)}`,
  ].join('\n');
};
