/** `npm run chaos`: exit 0 when every round passed, 1 when one failed or is unknown, 2 for a bad command line. */

import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describeViolations } from '@chat/testkit/checking/checker';
import { judgeFolder } from './judge.ts';
import { allMutants } from './mutants/all.ts';
import { hunt } from './mutants/hunt.ts';
import { allNemeses } from './nemeses/all.ts';
import type { Nemesis, ReadStore } from './nemesis.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { record } from './report/results.ts';
import { runSession, summary } from './session.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const list = (): number => {
  for (const { name, about } of allNemeses) say(`${name.padEnd(28)} ${about}`);
  return 0;
};

const check = async (folder: string): Promise<number> => {
  const judged = await judgeFolder(resolve(folder));
  say(`${judged.meta.run}: ${summary(judged)}`);
  for (const reason of judged.verdict.reasons) say(`- ${reason}`);
  if (judged.verdict.violations.length > 0) say(describeViolations(judged.verdict.violations, 100));
  return judged.verdict.kind === 'pass' ? 0 : 1;
};

/** A nemesis of a certain store keeps it. */
const on = (nemesis: Nemesis, readStore: ReadStore | undefined): Nemesis =>
  readStore === undefined || nemesis.needs.readStore !== undefined
    ? nemesis
    : { ...nemesis, needs: { ...nemesis.needs, readStore } };

const run = async (options: Options): Promise<number> => {
  const folder = options.out ? resolve(options.out) : await mkdtemp(join(tmpdir(), 'chat-chaos-'));
  await mkdir(folder, { recursive: true });
  say(`seed ${options.seed}; evidence in ${folder}`);
  const stopping = new AbortController();
  // The first Ctrl-C ends after the round under way; the second ends at once, and the children with their parent.
  process.on('SIGINT', () => {
    if (stopping.signal.aborted) process.exit(130);
    stopping.abort();
  });
  const results = await runSession({
    nemeses: allNemeses
      .filter(({ name }) => options.nemeses.includes(name))
      .map((nemesis) => on(nemesis, options.readStore)),
    seconds: options.seconds,
    seed: options.seed,
    rate: options.rate,
    folder,
    ...(options.minutes ? { untilMs: Date.now() + options.minutes * 60_000 } : {}),
    say,
    signal: stopping.signal,
    ...(options.isRecording ? { onRound: record } : {}),
  });
  const failed = results.filter(({ judged }) => judged.verdict.kind !== 'pass');
  const acks = results.reduce((sum, { judged }) => sum + judged.statistics.ackCount, 0);
  say(`${results.length} rounds, ${failed.length} not passed, ${acks} messages persisted`);
  say(`read ${join(folder, 'index.html')}`);
  return failed.length === 0 ? 0 : 1;
};

/** Each known bug once: exit 0 when all are caught. */
const mutants = async (options: Options): Promise<number> => {
  const folder = options.out ? resolve(options.out) : await mkdtemp(join(tmpdir(), 'chat-chaos-'));
  let survivorCount = 0;
  for (const mutant of allMutants) {
    if (options.mutant !== undefined && mutant.name !== options.mutant) continue;
    const caught = await hunt({ mutant, seed: options.seed, rate: options.rate, folder, say });
    if (options.isRecording) await record(caught.judged);
    if (!caught.isCaught) survivorCount += 1;
    say(
      `${mutant.name}: ${caught.isCaught ? `caught after ${caught.seconds} s` : 'SURVIVED'}: ${caught.evidence}`,
    );
  }
  return survivorCount === 0 ? 0 : 1;
};

const main = async (): Promise<number> => {
  const parsed = parseOptions(process.argv.slice(2), {
    nemeses: allNemeses.map(({ name }) => name),
    mutants: allMutants.map(({ name }) => name),
    freshSeed: Math.floor(Date.now() / 1000) % 1_000_000,
  });
  if (!parsed.ok) {
    process.stderr.write(`${parsed.sentence}\n`);
    return 2;
  }
  const { options } = parsed;
  switch (options.command) {
    case 'help':
      say(usage);
      return 0;
    case 'list':
      return list();
    case 'check':
      return check(options.check ?? '');
    case 'mutants':
      return mutants(options);
    case 'run':
      return run(options);
  }
};

process.exitCode = await main();
