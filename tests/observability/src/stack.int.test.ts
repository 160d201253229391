/**
 * One small stack with tracing on and LOG_LEVEL=trace, watched from outside: what its metrics, traces and logs tell, and
 * what they must never tell (I9). The blocks run in order: the last one breaks things.
 */

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import type { SeededTeam } from '@chat/testkit/processes/seed-team';
import { cmdSubject } from '@chat/contracts/subjects';
import { findPrometheusTools } from '@chat/testkit/servers/prometheus-tools';
import { eventually } from './eventually.ts';
import { type Exposition, parseExposition, scrape } from './exposition.ts';
import { dashboardFiles, metricsNamedIn, ruleFiles } from './files.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';
import { askAsCli, metricPatterns, natsCommands, sqlCommands } from './runbook-commands.ts';
import { type Wire, openWire } from './wire.ts';

const apps = ['gateway-1', 'gateway-2', 'writer-1', 'projector-1', 'api-1'] as const;
const text = 'canary-text-7f3a';
const email = 'canary.person@example.com';
const badToken = 'canary-token-51bd';
const message = (what: string): string => `${text} ${what} ${email}`;

const lines: { readonly name: string; readonly line: string }[] = [];
let receiver: OtlpReceiver;
let stack: ChatStack;
let team: SeededTeam;
let alice: Wire;
let bob: Wire;
let aliceToken: string;
let general: string;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  const tracing = { TRACE_SAMPLE_RATIO: '1', OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
  stack = await startChatStack({
    partitions: 2,
    fsync: false,
    supervise: true,
    logLevel: 'trace',
    env: { gateway: tracing, writer: tracing, projector: tracing, api: tracing },
    onLine: (name, line) => lines.push({ name, line }),
  });
  team = await stack.seedTeam({ owner: 'alice', members: ['bob'], channels: [{ name: 'general' }] });
  general = team.channels['general'] ?? '';
  aliceToken = await stack.mintToken('alice');
  const [one = '', two = ''] = stack.gatewayUrls;
  alice = await openWire(one, team.teamId, aliceToken);
  bob = await openWire(two, team.teamId, await stack.mintToken('bob'));
  await alice.frame(({ t }) => t === 'welcome');
  await bob.frame(({ t }) => t === 'welcome');
}, 120_000);

afterAll(async () => {
  await Promise.allSettled([alice?.close(), bob?.close()]);
  await stack?.stopAll();
  await receiver?.stop();
});

const say = async (what: string): Promise<string> => {
  const id = alice.send(general, message(what));
  expect((await alice.outcome(id)).t).toBe('persisted');
  return id;
};

const post = (path: string, body: string, token = aliceToken): Promise<Response> =>
  fetch(`${stack.apiUrl}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body,
    signal: AbortSignal.timeout(20_000),
  });

const expositions = async (): Promise<ReadonlyMap<string, string>> =>
  new Map(await Promise.all(apps.map(async (name) => [name, await scrape(stack.metricsUrl(name))] as const)));

describe('a traced command', () => {
  const spansOf = (root: ReceivedSpan): readonly ReceivedSpan[] =>
    receiver.spans.filter(({ traceId }) => traceId === root.traceId);
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
    await say('traced');
    const root = await eventually('a complete trace', () =>
      receiver.spans.find(
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
    const seen = new Set(receiver.spans.map(({ spanId }) => spanId));
    const body = JSON.stringify({
      messageId: randomUUID(),
      teamId: team.teamId,
      channelId: general,
      text: message('http'),
    });
    expect((await post('/api/v1/messages', body)).status).toBeLessThan(300);
    await eventually('a trace from the api to the read model', () =>
      receiver.spans.find(
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
    for (let i = 0; i < 10; i += 1) await say(`number ${i}`);
    texts = await expositions();
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
          expect(value, where).not.toContain(team.teamId);
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

describe('what the runbooks tell a person to type', () => {
  it('is SQL that the database understands', async () => {
    const client = new pg.Client({ connectionString: stack.databaseUrl });
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
    const { user, password } = stack.nats.credentials.ops;
    const nc = await connect({ servers: stack.nats.url, user, pass: password });
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
    const all = [...(await expositions()).values()].join('\n');
    expect(metricPatterns().length).toBeGreaterThan(7);
    for (const { book, command } of metricPatterns())
      expect(new RegExp(command, 'm').test(all), `${book}: ${command}`).toBe(true);
  });
});

describe('no log line, metric or trace', () => {
  const httpCanary = 'canary-http-2c9e';

  const hostileFrames = async (): Promise<void> => {
    const [gatewayUrl = ''] = stack.gatewayUrls;
    const refused = await openWire(gatewayUrl, team.teamId, badToken);
    await refused.closed;
    for (const frame of [
      `{"t":"cmd","id":"${text}","name":"message.send","data":{}}`,
      `{"t":"${text}"}`,
      `{not json ${text} ${email}`,
      JSON.stringify({ t: 'cmd', id: randomUUID(), name: 'message.send', data: { text, email } }),
      JSON.stringify({ t: 'reauth', token: badToken }),
    ])
      alice.write(frame);
    // What PostgreSQL cannot store as text.
    alice.send(general, `${message('nul')}\u0000`);
    alice.write(Buffer.from(text));
    await say('after hostile frames').catch(() => undefined);
    const big = await openWire(gatewayUrl, team.teamId, aliceToken);
    await big.frame(({ t }) => t === 'welcome');
    big.write(`{"t":"cmd","pad":"${message('x'.repeat(70_000))}"}`);
    await big.close();
  };

  const hostileRequests = async (): Promise<void> => {
    await post('/api/v1/messages', `{"text":"${message('broken')}`);
    await post('/api/v1/messages', JSON.stringify({ text: message('shapeless'), email }));
    await post('/api/v1/messages', '{}', badToken);
    await fetch(`${stack.apiUrl}/api/v1/${httpCanary}?token=${badToken}&q=${httpCanary}&email=${email}`);
    const query = `?q=${httpCanary}&before=${httpCanary}&minSeq=${httpCanary}`;
    await fetch(`${stack.apiUrl}/api/v1/channels/${general}/messages${query}&teamId=${team.teamId}`, {
      headers: { authorization: `Bearer ${aliceToken}` },
    });
  };

  /** Bytes in CMD that no gateway would send. */
  const poison = async (): Promise<void> => {
    const { user, password } = stack.nats.credentials.ops;
    const nc = await connect({ servers: stack.nats.url, user, pass: password });
    const subject = cmdSubject(team.teamId, 'message.send');
    await jetstream(nc).publish(subject, `{"v":1,"text":"${message('poison')}"`, { msgID: randomUUID() });
    await nc.close();
    await eventually('the line about the poison command', () =>
      lines.find(({ name, line }) => name === 'writer-1' && /poison|set aside/.test(line)),
    );
  };
  const outage = async (): Promise<void> => {
    const before = lines.length;
    const pid = stack.pid('postgres');
    await stack.kill('postgres');
    // The api has to say something too.
    await fetch(`${stack.apiUrl}/api/v1/channels/${general}/messages?teamId=${team.teamId}`, {
      headers: { authorization: `Bearer ${aliceToken}` },
    });
    const id = alice.send(general, message('while PostgreSQL is away'));
    await post('/api/v1/messages', JSON.stringify({ teamId: team.teamId, text: message('away') }));
    await eventually('the line about PostgreSQL', () =>
      lines.slice(before).find(({ name, line }) => name === 'writer-1' && line.includes('"level":"warn"')),
    );
    expect((await alice.outcome(id)).t).toBe('persisted');
    expect(stack.pid('postgres')).not.toBe(pid);
  };

  const secrets = (): readonly string[] => [
    text,
    email,
    badToken,
    httpCanary,
    aliceToken,
    aliceToken.split('.')[2] ?? aliceToken,
    ...Object.values(stack.nats.credentials).map(({ password }) => password),
    ...(new URL(stack.databaseUrl).password === '' ? [] : [new URL(stack.databaseUrl).password]),
  ];

  it(
    'holds a text, token, address or password, whatever is refused or breaks',
    { timeout: 120_000 },
    async () => {
      await hostileFrames();
      await hostileRequests();
      await poison();
      await outage();
      const texts = await expositions();
      // Of every process there is something to look at, the finest level too.
      for (const app of apps) expect(lines.filter(({ name }) => name === app).length, app).toBeGreaterThan(3);
      expect(lines.some(({ line }) => line.includes('"level":"debug"'))).toBe(true);
      expect(receiver.bodies.length).toBeGreaterThan(3);
      const places = [
        ...lines.map(({ name, line }) => [name, line] as const),
        ...['postgres', 'nats'].flatMap((name) => stack.tail(name).map((line) => [name, line] as const)),
        ...texts,
        ...receiver.bodies.map((body) => ['trace', body] as const),
      ];
      const leaksIn = (some: readonly (readonly [string, string])[]): readonly string[] =>
        some.flatMap(([place, content]) =>
          secrets()
            .filter((secret) => secret.length >= 8 && content.includes(secret))
            .map((secret) => `${place}: ${secret} in ${content.slice(0, 400)}`),
        );
      // The look itself can fail.
      expect(leaksIn([['planted', `a line with ${aliceToken}`]])).not.toEqual([]);
      expect(leaksIn(places)).toEqual([]);
    },
  );
});
