/**
 * One small stack, watched from outside: what its traces and metrics tell, what a Prometheus makes of them, and that the
 * runbooks' commands are true. The blocks run in order.
 */

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { findPrometheusTools } from '@chat/testkit/servers/prometheus-tools';
import { eventually } from './eventually.ts';
import { type Exposition, parseExposition } from './exposition.ts';
import { dashboardFiles, dashboardQueries, metricsNamedIn, ruleFiles } from './files.ts';
import { type ObservedStack, apps, startObservedStack } from './observed-stack.ts';
import type { ReceivedSpan } from './otlp-receiver.ts';
import { type PrometheusServer, startPrometheus } from './prometheus-server.ts';
import { askAsCli, metricPatterns, natsCommands, sqlCommands } from './runbook-commands.ts';

let observed: ObservedStack;
beforeAll(async () => {
  observed = await startObservedStack();
}, 120_000);
afterAll(async () => observed?.stop());

describe('a traced command', () => {
  const spansOf = (root: ReceivedSpan): readonly ReceivedSpan[] =>
    observed.receiver.spans.filter(({ traceId }) => traceId === root.traceId);
  const tree = (spans: readonly ReceivedSpan[]): readonly string[] => {
    const byId = new Map(spans.map((span) => [span.spanId, span]));
    return spans
      .map((span) => {
        const parent = span.parentSpanId === undefined ? undefined : byId.get(span.parentSpanId);
        return `${parent?.name ?? (span.parentSpanId ? 'unknown' : '')} > ${span.name}`;
      })
      .sort();
  };
  const expected = [
    'gateway.command > gateway.publish',
    'gateway.publish > writer.command',
    'writer.command > writer.commit',
    'writer.command > writer.decide',
    'writer.command > writer.relay',
    // Each of the two gateways hands it to its member.
    'writer.relay > gateway.fanout',
    'writer.relay > gateway.fanout',
    'writer.relay > projector.apply',
  ];

  it('is one connected trace from its frame to each fan-out and the read model', async () => {
    const sentAtMs = Date.now();
    await observed.say('traced');
    const root = await eventually('a complete trace', () =>
      observed.receiver.spans.find(
        (span) =>
          span.name === 'gateway.command' &&
          Number(span.startTimeUnixNano) / 1e6 >= sentAtMs - 1_000 &&
          spansOf(span).length >= expected.length + 1,
      ),
    );
    expect(tree(spansOf(root))).toEqual([' > gateway.command', ...expected].sort());
    const services = new Set(spansOf(root).map(({ service }) => service));
    expect([...services].sort()).toEqual(['chat-gateway', 'chat-projector', 'chat-writer']);
    for (const { name, startTimeUnixNano, endTimeUnixNano } of spansOf(root))
      expect(Number(endTimeUnixNano), name).toBeGreaterThanOrEqual(Number(startTimeUnixNano));
  });

  it('over HTTP begins at the api', async () => {
    const seen = new Set(observed.receiver.spans.map(({ spanId }) => spanId));
    const body = JSON.stringify({
      messageId: randomUUID(),
      teamId: observed.team.teamId,
      channelId: observed.channelId,
      text: 'over http',
    });
    expect((await observed.post('/api/v1/messages', body)).status).toBeLessThan(300);
    await eventually('a trace from the api to the read model', () =>
      observed.receiver.spans.find(
        (span) =>
          span.name === 'api.command' &&
          !seen.has(span.spanId) &&
          spansOf(span).some(({ name }) => name === 'projector.apply') &&
          spansOf(span).some(({ name }) => name === 'gateway.fanout'),
      ),
    );
  });
});

describe('the metrics of every process', () => {
  let texts: ReadonlyMap<string, string>;
  let parsed: ReadonlyMap<string, Exposition>;
  beforeAll(async () => {
    for (let i = 0; i < 10; i += 1) await observed.say(`number ${i}`);
    texts = await observed.expositions();
    parsed = new Map([...texts].map(([name, exposition]) => [name, parseExposition(exposition)]));
  });

  it('keep the format and the conventions', async () => {
    const { promtool } = await findPrometheusTools();
    for (const [name, exposition] of texts) {
      const complaint = await new Promise<string>((resolve) => {
        const child = execFile(promtool, ['check', 'metrics'], (error, stdout, stderr) =>
          resolve(error === null ? '' : `${stdout}${stderr}`),
        );
        child.stdin?.end(exposition);
      });
      expect(complaint, name).toBe('');
    }
  });

  it('say what they are in base units', () => {
    for (const { types } of parsed.values())
      for (const [metric, type] of types) {
        if (!metric.startsWith('chat_')) continue;
        if (type === 'counter') expect(metric).toMatch(/_total$/);
        if (type === 'histogram') expect(metric).toMatch(/_(seconds|bytes|commands|events)$/);
        expect(metric).not.toMatch(/_(ms|milliseconds|kb|mb|percent)(_|$)/);
      }
  });

  it('have labels of few values, none of which names a user, team, channel or message', () => {
    for (const [name, { series }] of parsed) {
      const bySeries = Map.groupBy(series, (one) => one.name);
      for (const [metric, all] of bySeries) expect(all.length, `${name} ${metric}`).toBeLessThanOrEqual(400);
      for (const { name: metric, labels } of series)
        for (const [label, value] of Object.entries(labels)) {
          const where = `${name} ${metric} ${label}=${value}`;
          expect(value.length, where).toBeLessThanOrEqual(64);
          expect(value, where).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}|alice|bob/);
          expect(value, where).not.toContain(observed.team.teamId);
        }
    }
  });

  it('include every one that a rule or a dashboard names', () => {
    const known = new Set([...parsed.values()].flatMap(({ types }) => [...types.keys()]));
    const named = [...ruleFiles(), ...dashboardFiles()].flatMap((file) =>
      metricsNamedIn(readFileSync(file, 'utf8')),
    );
    expect(named.length).toBeGreaterThan(20);
    expect([...new Set(named)].filter((metric) => !known.has(metric)).sort()).toEqual([]);
  });
});

describe('a real Prometheus', () => {
  let prometheus: PrometheusServer;
  const ask = (): Promise<Response> =>
    fetch(`${observed.stack.apiUrl}/api/v1/channels?teamId=${observed.team.teamId}`, {
      headers: { authorization: `Bearer ${observed.aliceToken}` },
    });

  beforeAll(async () => {
    const targets = apps.map((name) => ({
      job: `chat-${name.replace(/-\d+$/, '')}`,
      address: new URL(observed.stack.metricsUrl(name)).host,
    }));
    prometheus = await startPrometheus(targets);
    await eventually('every process is scraped', async () =>
      (await prometheus.query('up == 1')).length === apps.length ? true : undefined,
    );
    for (let i = 0; i < 30; i += 1) {
      await observed.say(`scraped ${i}`);
      await ask();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }, 120_000);
  afterAll(async () => prometheus?.stop());

  it('evaluates every rule on what the processes say', async () => {
    const rules = await eventually('every rule was evaluated', async () => {
      const all = await prometheus.rules();
      return all.every(({ health }) => health !== 'unknown') ? all : undefined;
    });
    expect(rules.length).toBeGreaterThan(60);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
  });

  it('has an answer to the queries of the dashboards', async () => {
    const queries = dashboardQueries('10s');
    const empty: string[] = [];
    for (const query of queries) if ((await prometheus.query(query)).length === 0) empty.push(query);
    // Nothing is wrong here, so nothing is refused, closed, fails or drifts; and the read model is in PostgreSQL.
    const mayBeEmpty =
      /ALERTS|_closed_total|_refusals_total|database_errors|_draining|hellos?_|device_lag|_drift_rows|chat_mongodb_/;
    expect(empty.filter((query) => !mayBeEmpty.test(query))).toEqual([]);
  });

  // But for those about speed: this machine may be a slow one.
  const raised = async (): Promise<readonly string[]> => {
    const names = (await prometheus.query('ALERTS')).map(({ metric }) => metric['alertname'] ?? '');
    return names.filter((name) => !/Slow|EventLoop/.test(name));
  };
  const raises = (...wanted: readonly string[]): Promise<true> =>
    eventually(`alerts ${wanted.join(', ')}`, async () => {
      const names = await raised();
      return wanted.every((name) => names.includes(name)) ? true : undefined;
    });
  it('raises no alert while all is well, and the right ones when a writer is stopped', async () => {
    // Those from before the first scrape are over.
    await eventually('no alert', async () => ((await raised()).length === 0 ? true : undefined));
    await observed.stack.stop('writer-1');
    await raises('ChatPartitionUnowned', 'ChatServiceGone', 'ChatProcessDown');
    await observed.stack.start('writer-1');
    await observed.stack.ready('writer-1');
  });

  it('says that a breaker is open while PostgreSQL is stopped, and not for long afterwards', async () => {
    await observed.stack.stop('postgres');
    await eventually('a breaker is open', async () => {
      expect((await ask()).status).toBe(503);
      return (await raised()).includes('ChatBreakerOpen') ? true : undefined;
    });
    await observed.stack.start('postgres');
    await eventually(
      'the breaker is closed',
      async () => {
        const { ok } = await ask();
        return ok && !(await raised()).includes('ChatBreakerOpen') ? true : undefined;
      },
      60_000,
    );
    await observed.say('persisted again');
  }, 120_000);
});

describe('what the runbooks tell a person to type', () => {
  it('is SQL that the database understands', async () => {
    const client = new pg.Client({ connectionString: observed.stack.databaseUrl });
    await client.connect();
    try {
      expect(sqlCommands().length).toBeGreaterThan(20);
      for (const { book, command } of sqlCommands())
        await client.query(command).catch((error: unknown) => {
          throw new Error(`${book}: ${command}: ${String(error)}`);
        });
    } finally {
      await client.end();
    }
  });

  it('is what NATS answers to an operator', async () => {
    const { user, password } = observed.stack.nats.credentials.ops;
    const nc = await connect({ servers: observed.stack.nats.url, user, pass: password });
    try {
      const jsm = await jetstreamManager(nc);
      expect(natsCommands().length).toBeGreaterThan(20);
      for (const { book, command } of natsCommands())
        await askAsCli(command, nc, jsm).catch((error: unknown) => {
          throw new Error(`${book}: nats ${command}: ${String(error)}`);
        });
    } finally {
      await nc.close();
    }
  });

  it('finds the metrics it looks for', async () => {
    const all = [...(await observed.expositions()).values()].join('\n');
    expect(metricPatterns().length).toBeGreaterThan(7);
    for (const { book, command } of metricPatterns())
      expect(new RegExp(command, 'm').test(all), `${book}: ${command}`).toBe(true);
  });
});
