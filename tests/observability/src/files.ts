/** The files of deploy/ that the tests read. */

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@chat/testkit/processes/app-process';

export const observabilityFolder = join(repositoryRoot, 'deploy/observability');
export const runbookFolder = join(repositoryRoot, 'deploy/runbooks');

export const filesIn = (folder: string, ending: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(folder, name));

export const ruleFiles = (): readonly string[] =>
  filesIn(join(observabilityFolder, 'prometheus/rules'), '.yml');
export const dashboardFiles = (): readonly string[] => filesIn(join(observabilityFolder, 'grafana'), '.json');

/** Every query of the dashboards, for an interval of `interval`. */
export const dashboardQueries = (interval: string): readonly string[] =>
  dashboardFiles().flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(([, expr = '""']) =>
      (JSON.parse(expr) as string).replaceAll('$__rate_interval', interval),
    ),
  );

export type Alert = {
  readonly name: string;
  readonly severity: string;
  readonly runbook: string;
  readonly file: string;
};

/** Our rule files keep one form: `- alert:`, then its `severity:` and `runbook:`. */
export const alerts = (): readonly Alert[] =>
  ruleFiles().flatMap((file) =>
    readFileSync(file, 'utf8')
      .split(/^ +- (?=alert:|record:)/m)
      .filter((block) => block.startsWith('alert:'))
      .map((block) => ({
        name: /^alert: (\w+)/.exec(block)?.[1] ?? '',
        severity: /severity: ([\w-]+)/.exec(block)?.[1] ?? '',
        runbook: /runbook: (\S+)/.exec(block)?.[1] ?? '',
        file,
      })),
  );

/** Names of our metrics in a rule or dashboard, without the endings of a histogram's series. */
export const metricsNamedIn = (text: string): readonly string[] => [
  ...new Set(
    (text.match(/\b(?:chat|nodejs|process)_[a-z0-9_]+/g) ?? []).map((name) =>
      name.replace(/_(bucket|sum|count)$/, ''),
    ),
  ),
];
