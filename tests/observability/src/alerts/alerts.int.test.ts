import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { type PrometheusTools, findPrometheusTools } from '@chat/testkit/servers/prometheus-tools';
import {
  alerts,
  dashboardQueries,
  filesIn,
  observabilityFolder,
  ruleFiles,
  runbookFolder,
} from '../files.ts';
import { type Case, fires, promtoolFile } from './case.ts';
import { dependencyCases } from './dependency-cases.ts';
import { pipelineCases } from './pipeline-cases.ts';
import { serviceCases } from './service-cases.ts';
import { sloCases } from './slo-cases.ts';

const run = promisify(execFile);
const byName = ruleFiles().map((file): [string, string] => [basename(file), file]);
const cases = [...serviceCases, ...pipelineCases, ...dependencyCases, ...sloCases];
let tools: PrometheusTools;
beforeAll(async () => {
  tools = await findPrometheusTools();
}, 300_000);

/** Those of an alert alone (and the records that some are made of): all rules in all situations take a minute. */
const rulesFor = (file: string): readonly string[] =>
  file.endsWith('delivery.yml') ? [file, ...ruleFiles().filter((one) => one.endsWith('slo.yml'))] : [file];

/** Answers what promtool says is wrong. */
const failures = async (some: readonly Case[], rules: readonly string[]): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'alerts-'));
  try {
    const file = join(folder, 'tests.yml');
    await writeFile(file, promtoolFile(some, rules));
    await run(tools.promtool, ['test', 'rules', file]);
    return '';
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return `${stdout}${stderr}` || String(error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

describe('alerts', () => {
  it('are valid rules', async () => {
    await run(tools.promtool, ['check', 'rules', ...ruleFiles()]);
    const config = join(observabilityFolder, 'prometheus/prometheus.yml');
    await run(tools.promtool, ['check', 'config', '--syntax-only', config]);
  });

  it.each(byName)(
    'of %s each fire when they should and are quiet when they should',
    async (_name, file) => {
      const names = new Set(
        alerts()
          .filter((alert) => alert.file === file)
          .map(({ name }) => name),
      );
      const own = cases.filter(({ alert }) => names.has(alert));
      expect(await failures(own, rulesFor(file))).toBe('');
    },
    120_000,
  );

  it('are all covered by a situation that fires and one that does not', () => {
    const names = alerts().map(({ name }) => name);
    const covered = (isFiring: boolean): string[] =>
      names.filter((name) => cases.some((one) => one.alert === name && one.isFiring === isFiring));
    expect(covered(true)).toEqual(names);
    expect(covered(false)).toEqual(names);
    expect(cases.map(({ alert }) => alert).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('a wrong expectation is found (the check itself can fail)', async () => {
    const calm = { 'chat_breaker_state{breaker="writer"}': '0x10' };
    const wrong = [fires('ChatBreakerOpen', 'it is closed', '1m', calm)];
    expect(await failures(wrong, ruleFiles())).toContain('FAILED');
  });

  it('each links a playbook that exists', () => {
    expect(alerts().length).toBeGreaterThan(40);
    for (const { name, runbook } of alerts()) {
      expect(runbook, name).toMatch(/^deploy\/runbooks\/[\w-]+\.md$/);
      expect(existsSync(join(repositoryRoot, runbook)), `${name}: ${runbook}`).toBe(true);
    }
  });
});

describe('runbooks', () => {
  const books = filesIn(runbookFolder, '.md').map((file) => ({
    name: basename(file),
    text: readFileSync(file, 'utf8'),
  }));

  it('name only alerts that exist', () => {
    const names = alerts().map(({ name }) => name);
    for (const { name: book, text } of books)
      for (const [, alert = '', more] of text.matchAll(/`(Chat[A-Z]\w+)(…?)`/g)) {
        const isKnown = more === '' ? names.includes(alert) : names.some((one) => one.startsWith(alert));
        expect(isKnown, `${book}: ${alert}`).toBe(true);
      }
  });

  it('are all found from the index, have the four parts, and link no playbook that is missing', () => {
    const index = books.find(({ name }) => name === 'README.md')?.text ?? '';
    const names = books.map(({ name }) => name);
    for (const { name, text } of books) {
      for (const [, linked = ''] of text.matchAll(/[`(]([\w-]+\.md)[`)]/g))
        expect(names, `${name} links ${linked}`).toContain(linked);
      if (name === 'README.md') continue;
      expect(index, name).toContain(`(${name})`);
      for (const part of ['Symptom', 'Confirm', 'What heals by itself', 'What a person does'])
        expect(text, name).toContain(`**${part}.**`);
    }
  });
});

describe('dashboards', () => {
  it('ask only what Prometheus understands', async () => {
    const queries = dashboardQueries('1m');
    expect(queries.length).toBeGreaterThan(50);
    const rules = queries.map((expr, at) => ({ record: `query:${at}`, expr }));
    const folder = await mkdtemp(join(tmpdir(), 'dashboards-'));
    try {
      const file = join(folder, 'queries.yml');
      await writeFile(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
      await run(tools.promtool, ['check', 'rules', file]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('alert routing', () => {
  const config = join(observabilityFolder, 'alertmanager/alertmanager.yml');
  const receivers = async (labels: Readonly<Record<string, string>>): Promise<string> => {
    const pairs = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
    const { stdout } = await run(tools.amtool, [
      'config',
      'routes',
      'test',
      `--config.file=${config}`,
      ...pairs,
    ]);
    return stdout.trim();
  };

  it('is a valid configuration', async () => {
    await run(tools.amtool, ['check-config', config]);
  });

  it('a page calls the first on call, and the team sees it', async () => {
    expect(await receivers({ alertname: 'ChatPartitionHalted', severity: 'page', partition: '1' })).toBe(
      'first-on-call,team',
    );
  });

  it('a page that nobody ends escalates to the second on call, then to the head of the service', async () => {
    expect(await receivers({ alertname: 'ChatUnhandled15Minutes', severity: 'escalate-1' })).toBe(
      'second-on-call',
    );
    expect(await receivers({ alertname: 'ChatUnhandled30Minutes', severity: 'escalate-2' })).toBe(
      'head-of-service',
    );
  });

  it('a ticket, and what names no severity, goes to the team only', async () => {
    expect(await receivers({ alertname: 'ChatSlowReaders', severity: 'ticket' })).toBe('team');
    expect(await receivers({ alertname: 'SomethingNew' })).toBe('team');
  });

  it('every severity of the rules has a route', async () => {
    const severities = [...new Set(alerts().map(({ severity }) => severity))].sort();
    expect(severities).toEqual(['escalate-1', 'escalate-2', 'page', 'ticket']);
  });
});
