/** tests/bench/RESULTS.md: the last run worth keeping, with what is needed to judge it. */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { BenchOptions } from './options.ts';

const file = fileURLToPath(new URL('../RESULTS.md', import.meta.url));

const commit = (): string => {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
    return (
      git('rev-parse', '--short', 'HEAD') +
      (git('status', '--porcelain') === '' ? '' : ' and uncommitted changes')
    );
  } catch {
    return 'unknown (not a git work tree)';
  }
};

export const describeRun = (options: BenchOptions): string => {
  const model = cpus()[0]?.model ?? 'unknown processor';
  const memory = Math.round(totalmem() / 2 ** 30);
  return [
    `- ${new Date().toISOString().slice(0, 16)}Z, commit ${commit()}`,
    `- ${cpus().length} cores of ${model}, ${memory} GiB, Linux ${release()}, Node ${process.version}`,
    `- ${options.rounds} rounds of ${options.seconds} s, raw and ours in turn; medians. One gateway, writer, projector and api,`,
    '  4 partitions, PostgreSQL with `fsync` and `synchronous_commit` on, NATS R1 with its default sync interval;',
    '  limits of single users raised. Everything, the load client too, shares these cores.',
    '- *others*: cores used during the measurement by what is no part of it. Above ~0.1 the absolute figures say little.',
  ].join('\n');
};

export const writeResults = (options: BenchOptions, tables: string, notes: string): void => {
  const how =
    '`npm run bench -- --write` writes this file; [README.md](README.md) says what is measured and how.';
  writeFileSync(file, `# Results of the bench\n\n${how}\n\n${describeRun(options)}\n\n${tables}\n${notes}`);
};
