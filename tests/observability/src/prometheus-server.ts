/** A real Prometheus with our rules, in a hurry: it scrapes and evaluates every second. */

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { spawnChild } from '@chat/testkit/servers/child-process';
import { freePort } from '@chat/testkit/servers/ports';
import { findPrometheusTools } from '@chat/testkit/servers/prometheus-tools';
import { eventually } from './eventually.ts';
import { ruleFiles } from './files.ts';

/** `job` as the rules know it, `instance` a process of it, `address` host:port of its metrics. */
export type Target = { readonly job: string; readonly address: string };

export type Rule = { readonly name: string; readonly health: string; readonly lastError?: string };
export type Result = {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
};

export type PrometheusServer = {
  query(expr: string): Promise<readonly Result[]>;
  rules(): Promise<readonly Rule[]>;
  stop(): Promise<void>;
};

const configOf = (targets: readonly Target[]): string =>
  JSON.stringify({
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: ['rules/*.yml'],
    scrape_configs: [...Map.groupBy(targets, ({ job }) => job)].map(([job, same]) => ({
      job_name: job,
      static_configs: [{ targets: same.map(({ address }) => address) }],
    })),
  });

export const startPrometheus = async (targets: readonly Target[]): Promise<PrometheusServer> => {
  const { prometheus } = await findPrometheusTools();
  const folder = await mkdtemp(join(tmpdir(), 'prometheus-'));
  await mkdir(join(folder, 'rules'));
  for (const file of ruleFiles()) {
    const hurried = (await readFile(file, 'utf8')).replaceAll(/interval: \d+s/g, 'interval: 1s');
    await writeFile(join(folder, 'rules', basename(file)), hurried);
  }
  const config = join(folder, 'prometheus.yml');
  await writeFile(config, configOf(targets));
  const port = await freePort();
  const child = await spawnChild({
    command: prometheus,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
  });
  const url = `http://127.0.0.1:${port}`;
  const ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(10_000) });
    const answer = (await response.json()) as { data?: T; error?: string };
    if (answer.data === undefined) throw new Error(`${path}: ${answer.error ?? response.status}`);
    return answer.data;
  };
  const stop = async (): Promise<void> => {
    await child.end('SIGTERM', 5_000);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await eventually('Prometheus is ready', async () => {
      if (child.exit()) throw new Error(`Prometheus ended:\n${child.tail().join('\n')}`);
      const response = await fetch(`${url}/-/ready`).catch(() => undefined);
      return response?.ok === true ? true : undefined;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    query: async (expr) =>
      (await ask<{ result: Result[] }>(`/api/v1/query?query=${encodeURIComponent(expr)}`)).result,
    rules: async () =>
      (await ask<{ groups: { rules: Rule[] }[] }>('/api/v1/rules')).groups.flatMap(({ rules }) => rules),
    stop,
  };
};
