/** The first page of a session: a table of its rounds, each linked to its own report. */

import { writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { RoundResult } from '../session.ts';
import { files } from '../run-folder.ts';
import { percentile } from '../statistics.ts';
import { escapeText } from './svg.ts';

const rowOf = (folder: string, { judged, folder: own }: RoundResult): string => {
  const { meta, verdict, statistics } = judged;
  const recoveries = statistics.faults.map(({ recoveryMs }) => recoveryMs ?? Infinity).sort((a, b) => a - b);
  const blast = Math.max(0, ...statistics.faults.map(({ blastShare }) => blastShare));
  const cells = [
    `<a href="${escapeText(join(relative(folder, own), files.report))}">${escapeText(meta.nemesis)}</a>`,
    String(meta.seed),
    `<b class="${verdict.kind}">${verdict.kind}</b>`,
    String(statistics.ackCount),
    String(statistics.faults.length),
    String(verdict.violations.length),
    `${Math.round(percentile(recoveries, 0.5))} ms`,
    `${Math.round(recoveries.at(-1) ?? 0)} ms`,
    `${Math.round(blast * 100)} %`,
    escapeText(verdict.reasons.join('; ')),
  ];
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
};

const head = [
  'nemesis',
  'seed',
  'verdict',
  'persisted',
  'faults',
  'violations',
  'recovery p50',
  'longest',
  'widest blast',
  'why',
];
const style =
  'body{font:15px/1.5 system-ui,sans-serif;margin:2rem}table{border-collapse:collapse}td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:left}.pass{color:#1a7f37}.fail{color:#c62828}.unknown{color:#9a6700}';

export const writeOverview = async (folder: string, results: readonly RoundResult[]): Promise<string> => {
  const file = join(folder, 'index.html');
  const acks = results.reduce((sum, { judged }) => sum + judged.statistics.ackCount, 0);
  await writeFile(
    file,
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>Fault suite</title><style>${style}</style>
<h1>Fault suite</h1><p>${results.length} rounds, ${acks} messages persisted</p>
<table><tr>${head.map((name) => `<th>${name}</th>`).join('')}</tr>
${results.map((result) => rowOf(folder, result)).join('\n')}
</table></html>
`,
  );
  return file;
};
