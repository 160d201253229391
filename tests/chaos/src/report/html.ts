/** One page for one round, complete in itself: no script, nothing loaded. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeViolations } from '@chat/testkit/checking/checker';
import type { Judged } from '../judge.ts';
import { files, readRows } from '../run-folder.ts';
import type { Sample } from '../sampler.ts';
import { percentile } from '../statistics.ts';
import { escapeText } from './svg.ts';
import { timeline } from './timeline.ts';

const style = `
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}pre{background:#f6f6f6;padding:1rem;overflow:auto}
.pass{color:#1a7f37}.fail{color:#c62828}.unknown{color:#9a6700}
svg{width:100%;height:auto}.grid{stroke:#e4e4e4}.tick{font:11px system-ui,sans-serif;fill:#666}.end{text-anchor:end;dominant-baseline:middle}.middle{text-anchor:middle}.title{font:bold 13px system-ui,sans-serif;fill:#222}
.fault{fill:#f2a0a0;fill-opacity:.65}.recovery{fill:#f6dfa4;fill-opacity:.65}`;

const cell = (value: string | number): string =>
  typeof value === 'number' ? `<td class="n">${value}</td>` : `<td>${escapeText(value)}</td>`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  `<table><tr>${head.map((name) => `<th>${escapeText(name)}</th>`).join('')}</tr>${rows
    .map((row) => `<tr>${row.map(cell).join('')}</tr>`)
    .join('')}</table>`;

const ms = (value: number | undefined): string => (value === undefined ? 'never' : `${Math.round(value)} ms`);

/** Memory and streams at the first and last sample: what grew (I8). */
const growth = (samples: readonly Sample[]): string => {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return '';
  const mib = (bytes: number | undefined): string =>
    bytes === undefined ? '–' : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const highest = (pickValues: (sample: Sample) => Readonly<Record<string, number>>, name: string): number =>
    Math.max(...samples.map((sample) => pickValues(sample)[name] ?? 0));
  const rowsOf = (what: string, pickValues: (sample: Sample) => Readonly<Record<string, number>>) =>
    Object.keys(pickValues(last)).map((name) => [
      `${what} ${name}`,
      mib(pickValues(first)[name]),
      mib(highest(pickValues, name)),
      mib(pickValues(last)[name]),
    ]);
  return table(
    ['of', 'at first', 'highest', 'at last'],
    [
      ...rowsOf('memory of', ({ rssBytes }) => rssBytes),
      ...rowsOf('stream', ({ streamBytes }) => streamBytes),
    ],
  );
};

export const reportHtml = ({ meta, verdict, statistics }: Judged, samples: readonly Sample[]): string => {
  const recoveries = statistics.faults.map(({ recoveryMs }) => recoveryMs ?? Infinity).sort((a, b) => a - b);
  const facts: readonly (readonly [string, string | number])[] = [
    ['What', meta.about],
    ['Seed, length, rate', `${meta.seed}, ${meta.seconds} s, ${meta.rate} messages/s`],
    ['Commit, machine', `${meta.commit}, ${meta.machine}, ${meta.startedAt}`],
    ...(meta.readStore ? [['Read model in', meta.readStore] as const] : []),
    ...(meta.mutant ? [['Known bug in it', meta.mutant] as const] : []),
    ['Clients', statistics.clientCount],
    ['Messages persisted', statistics.ackCount],
    ['Events delivered', statistics.deliveryCount],
    [
      'Sends, final refusals, waits told',
      `${statistics.sendCount}, ${statistics.failCount}, ${statistics.infoCount}`,
    ],
    ['Recovery p50, longest', `${ms(percentile(recoveries, 0.5))}, ${ms(recoveries.at(-1) ?? 0)}`],
  ];
  const faults = statistics.faults.map((fault) => [
    `${(fault.atMs / 1000).toFixed(1)} s`,
    `${fault.action} of ${fault.target}`,
    ms(fault.healedAtMs - fault.atMs),
    ms(fault.recoveryMs),
    `${Math.round(fault.blastShare * 100)} %`,
    fault.proofs.join('; ') || 'none',
  ]);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeText(meta.run)}</title><style>${style}</style>
<h1>${escapeText(meta.nemesis)}: <span class="${verdict.kind}">${verdict.kind}</span></h1>
${verdict.reasons.length > 0 ? `<ul>${verdict.reasons.map((reason) => `<li>${escapeText(reason)}</li>`).join('')}</ul>` : ''}
${table(['', ''], facts)}
<h2>Timeline</h2>
${timeline(statistics, samples)}
<h2>Faults</h2>
${table(['at', 'fault', 'lasted', 'recovery', 'blast radius', 'proof'], faults)}
<p>Recovery: from healed until every client that wrote had a message persisted again. Blast radius: share of the writing clients that had nothing persisted while it lasted (at least the first second).</p>
<h2>Violations</h2>
<pre>${escapeText(verdict.violations.length > 0 ? describeViolations(verdict.violations, 100) : 'none')}</pre>
${verdict.allowed.length > 0 ? `<p>Caused by this fault by design:</p><pre>${escapeText(describeViolations(verdict.allowed))}</pre>` : ''}
<h2>Memory and streams</h2>
${growth(samples)}
</html>
`;
};

export const writeReport = async (judged: Judged, folder: string): Promise<string> => {
  const file = join(folder, files.report);
  await writeFile(file, reportHtml(judged, await readRows<Sample>(folder, files.samples)));
  return file;
};
