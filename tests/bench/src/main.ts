/** `npm run bench`: see README.md. Exits 1 when a message was lost, doubled or reordered; a missed aim is only reported. */

import { writeFileSync } from 'node:fs';
import { type ScenarioResult, runScenario } from './bench.ts';
import { type BenchOptions, parseOptions, usage } from './options.ts';
import { runOpenLoopBenches } from './growth/open-loop-benches.ts';
import { runProjectionBench } from './projection/projection-bench.ts';
import { startRawTarget } from './raw-target.ts';
import { runReadBench } from './reads/read-bench.ts';
import { faultsOf, report } from './report.ts';
import { describeRun, writeResults } from './results-file.ts';
import { runSocketBenches } from './sockets/socket-benches.ts';
import { startStackTarget } from './stack-target.ts';

const WARMUP_MS = 3_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const measure = async (options: BenchOptions): Promise<readonly ScenarioResult[]> => {
  say('starting NATS, PostgreSQL, gateway, writer, projector, api and the raw baseline …');
  const stack = { ...(options.profileFolder ? { profileFolder: options.profileFolder } : {}) };
  const [ours, raw] = await Promise.all([startStackTarget(stack), startRawTarget()]);
  const deps = {
    ours,
    raw,
    measureMs: options.seconds * 1000,
    warmupMs: WARMUP_MS,
    roundCount: options.rounds,
    othersMaxCores: options.othersMaxCores,
    deadlineMs: performance.now() + options.patienceSeconds * 1000,
    say,
  };
  // Ctrl-C leaves neither servers nor their folder behind.
  let stopping: Promise<unknown> | undefined;
  const stop = () => (stopping ??= Promise.all([ours.stop(), raw.stop()]));
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().finally(() => process.exit(130)));
  try {
    const results: ScenarioResult[] = [];
    for (const scenario of options.scenarios) results.push(await runScenario(scenario, deps));
    return results;
  } finally {
    await stop();
  }
};

const main = async (): Promise<number> => {
  const parsed = parseOptions(process.argv.slice(2));
  if (!parsed.ok) {
    process.stderr.write(`${parsed.problem}\nusage: ${usage()}\n`);
    return 64;
  }
  const { options } = parsed;
  const results = await measure(options);
  const tables = report(results);
  say(`\n${describeRun(options)}\n\n${tables}`);
  if (options.jsonFile !== undefined) writeFileSync(options.jsonFile, JSON.stringify(results, null, 2));
  if (options.isWriting) writeResults(options, tables, '');
  const faults = faultsOf(results);
  for (const fault of faults) process.stderr.write(`FAULT ${fault}\n`);
  return faults.length > 0 ? 1 : 0;
};

process.exitCode =
  (await runSocketBenches(process.argv.slice(2), say)) ??
  (await runOpenLoopBenches(process.argv.slice(2), say)) ??
  (await runProjectionBench(process.argv.slice(2), say)) ??
  (await runReadBench(process.argv.slice(2), say)) ??
  (await main());
