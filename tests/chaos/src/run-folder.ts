/** The files of a round's folder: everything the checker and the report need, and nothing they could not be made from again. */

import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TeamId, UserId } from '@chat/contracts/ids';
import type { ViolationName } from '@chat/testkit/checking/checker';

export type RoundMeta = {
  readonly run: string;
  readonly nemesis: string;
  readonly about: string;
  readonly allows: readonly ViolationName[];
  /** Where the read model was, when not in PostgreSQL. */
  readonly readStore?: string;
  readonly mutant?: string;
  readonly seed: number;
  readonly seconds: number;
  readonly rate: number;
  readonly startedAt: string;
  readonly commit: string;
  readonly machine: string;
  readonly teams: readonly {
    readonly teamId: TeamId;
    readonly partition: number;
    readonly userIds: readonly UserId[];
  }[];
  /** The partitions' last seq before the round. */
  readonly afterSeq: Readonly<Record<string, number>>;
  /** Faults of the run itself: something did not come back, a wait ran out. Each fails the round. */
  readonly problems: readonly string[];
};

export const files = {
  meta: 'meta.json',
  history: 'history.jsonl',
  log: 'log.jsonl',
  stream: 'stream.jsonl',
  commands: 'commands.jsonl',
  api: 'api.jsonl',
  lists: 'lists.jsonl',
  poison: 'poison.jsonl',
  samples: 'samples.jsonl',
  verdict: 'verdict.json',
  report: 'report.html',
} as const;

export const writeRows = async (folder: string, file: string, rows: readonly unknown[]): Promise<void> => {
  await writeFile(join(folder, file), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
};

/** Line by line, so that a long history never stands in memory as one text. */
export const eachRow = async <T>(folder: string, file: string, take: (row: T) => void): Promise<void> => {
  const lines = createInterface({ input: createReadStream(join(folder, file)), crlfDelay: Infinity });
  for await (const line of lines) if (line.length > 0) take(JSON.parse(line) as T);
};

export const readRows = async <T>(folder: string, file: string): Promise<readonly T[]> => {
  const rows: T[] = [];
  await eachRow<T>(folder, file, (row) => void rows.push(row));
  return rows;
};

export const readMeta = async (folder: string): Promise<RoundMeta> =>
  JSON.parse(await readFile(join(folder, files.meta), 'utf8')) as RoundMeta;

export const writeMeta = (folder: string, meta: RoundMeta): Promise<void> =>
  writeFile(join(folder, files.meta), `${JSON.stringify(meta, undefined, 2)}\n`);
