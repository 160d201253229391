/** `npm run bench -- --only latency|growth [--seconds n] [--sizes small|full]`. */

import { parseArgs } from 'node:util';
import { latencyReport, latencySizes, measureLatency } from '../latency/latency.ts';
import { startRawTarget } from '../raw-target.ts';
import { startStackTarget } from '../stack-target.ts';
import { growthReport, growthSizes, measureGrowth } from './growth.ts';

type Say = (line: string) => void;
type Bench = (measureMs: number | undefined, isSmall: boolean, say: Say) => Promise<readonly string[]>;

const SECONDS_MAX_COUNT = 600;

/** Ctrl-C leaves neither servers nor their folder behind. */
const startTargets = async (say: Say) => {
  say('starting NATS, PostgreSQL, gateway, writer, projector, api and the raw baseline …');
  const [ours, raw] = await Promise.all([startStackTarget(), startRawTarget()]);
  say('started');
  let stopping: Promise<unknown> | undefined;
  const stop = () => (stopping ??= Promise.all([ours.stop(), raw.stop()]));
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().finally(() => process.exit(130)));
  return { ours, raw, stop };
};

const latency: Bench = async (measureMs, isSmall, say) => {
  const { ours, raw, stop } = await startTargets(say);
  try {
    const small = isSmall ? { channelCount: 4, membersPerChannelCount: 3, inFlightCount: 6 } : {};
    const own = measureMs === undefined ? {} : { measureMs };
    const result = await measureLatency(ours, raw, { ...latencySizes, ...small, ...own }, say);
    say(latencyReport(result));
    return result.faults;
  } finally {
    await stop();
  }
};

const growth: Bench = async (measureMs, isSmall, say) => {
  const { ours, stop } = await startTargets(say);
  try {
    const small = isSmall ? { members: [2, 20], idleSockets: [5, 50], channels: [3, 30] } : {};
    const own = measureMs === undefined ? {} : { measureMs };
    const sizes = { ...growthSizes, ...small, ...own };
    const rows = await measureGrowth(ours, sizes, say);
    say(growthReport(rows, sizes.perSecond));
    return rows.flatMap(({ what, count, round }) =>
      round.load.faults.map((fault) => `${what} ${count}: ${fault}`),
    );
  } finally {
    await stop();
  }
};

const benches: Readonly<Record<string, Bench>> = { latency, growth };

/** The exit code; undefined when the command line names none of these benches. */
export const runOpenLoopBenches = async (args: readonly string[], say: Say): Promise<number | undefined> => {
  const options = {
    only: { type: 'string' },
    seconds: { type: 'string' },
    sizes: { type: 'string' },
  } as const;
  const { values } = parseArgs({ args: [...args], options, strict: false });
  const bench = typeof values.only === 'string' ? benches[values.only] : undefined;
  if (!bench) return undefined;
  const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
  if (seconds !== undefined && !(Number.isInteger(seconds) && seconds >= 1 && seconds <= SECONDS_MAX_COUNT)) {
    say(`--seconds must be a whole number from 1 to ${SECONDS_MAX_COUNT}`);
    return 64;
  }
  const measureMs = seconds === undefined ? undefined : seconds * 1000;
  const faults = await bench(measureMs, values.sizes === 'small', say);
  for (const fault of faults) say(`FAULT ${fault}`);
  return faults.length > 0 ? 1 : 0;
};
