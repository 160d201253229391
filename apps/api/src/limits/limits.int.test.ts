/** Limits of people over two apis and a gateway. Buckets refill so slowly that no machine is too slow for what is counted. */

import { randomUUID } from 'node:crypto';
import type { ErrorBody } from '@chat/contracts/errors';
import type { SendMessageResponse, TeamsResponse } from '@chat/contracts/http';
import { openWire } from '@chat/testkit/checking/wire-session';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

const REQUESTS_COUNT = 60;
const BURST_COUNT = 20;
const messageLimits = {
  MESSAGE_BURST_COUNT: String(BURST_COUNT),
  MESSAGE_BURST_MS: '3600000',
  MESSAGE_SUSTAINED_COUNT: '10000',
};

let stack: ChatStack;
let team: Awaited<ReturnType<ChatStack['seedTeam']>>;
beforeAll(async () => {
  stack = await startChatStack({
    gateways: 1,
    apis: 2,
    partitions: 1,
    fsync: false,
    env: {
      api: { ...messageLimits, API_REQUESTS_PER_MINUTE_COUNT: String(REQUESTS_COUNT) },
      gateway: messageLimits,
    },
  });
  const members = ['bob', 'carol', 'dave', 'erin', 'frank'];
  team = await stack.seedTeam({ owner: 'alice', members, channels: [{ name: 'room' }] });
}, 120_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

const tokens = new Map<string, string>();
const call = async <T>(as: string, path: string, options: { api?: number; json?: unknown } = {}) => {
  const { api = 0, json } = options;
  if (!tokens.has(as)) tokens.set(as, await stack.mintToken(as));
  const response = await fetch(stack.apiUrls[api]! + path, {
    method: json === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${tokens.get(as)}`, 'content-type': 'application/json' },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const body = (await response.json()) as T & ErrorBody;
  return { status: response.status, headers: response.headers, body };
};
const ask = (as: string, api = 0) => call<TeamsResponse>(as, '/api/v1/teams', { api });
const say = (as: string, api = 0) =>
  call<SendMessageResponse>(as, '/api/v1/messages', {
    api,
    json: {
      teamId: team.teamId,
      channelId: team.channels['room'],
      messageId: randomUUID(),
      text: 'text',
    },
  });

/** Sends until one is refused; answers how many were taken, and the refusal. */
const sayUntilRefused = async (as: string, api = 0) => {
  for (let takenCount = 0; ; takenCount += 1) {
    const answer = await say(as, api);
    if (answer.status >= 400) return { takenCount, refusal: answer };
  }
};

it('a user who asks too often is told when to come again and how the limit stands, and nobody else pays', async () => {
  const first = await ask('carol');
  expect(first.status).toBe(200);
  expect(first.headers.get('ratelimit-policy')).toBe(`${REQUESTS_COUNT};w=60`);
  expect(first.headers.get('ratelimit-limit')).toBe(String(REQUESTS_COUNT));
  expect(Number(first.headers.get('ratelimit-remaining'))).toBe(REQUESTS_COUNT - 1);
  // At once, so that what refills meanwhile (one a second) is far less.
  const answers = await Promise.all(Array.from({ length: 4 * REQUESTS_COUNT }, () => ask('carol')));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(REQUESTS_COUNT);
  expect(refused.length + answers.filter(({ status }) => status === 200).length).toBe(answers.length);
  const { headers, body } = refused[0]!;
  expect(body).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
  expect(body.retryAfterMs).toBeGreaterThan(0);
  expect(body.retryAfterMs).toBeLessThanOrEqual(1_000);
  expect(headers.get('retry-after')).toBe('1');
  expect(headers.get('ratelimit-remaining')).toBe('0');
  expect(Number(headers.get('ratelimit-reset'))).toBeGreaterThan(30);
  expect((await ask('bob')).status).toBe(200);

  // What needs no token is not counted.
  for (const path of ['/health/liveness', '/health/readiness', '/api/v1/client-config'])
    expect((await call('carol', path)).headers.get('ratelimit-limit')).toBeNull();
  const metrics = await (await fetch(stack.metricsUrl('api-1'))).text();
  expect(metrics).toContain(`chat_limit_refusals_total{limit="requests"} ${refused.length}`);
  expect(metrics).toContain('chat_limit_violators 1');
});

it('requests count over all apis', async () => {
  const taken = await Promise.all(Array.from({ length: REQUESTS_COUNT - 15 }, () => ask('dave', 0)));
  expect(taken.every(({ status }) => status === 200)).toBe(true);
  // The other api is told within a second or two. What is asked of it here refills before the next time.
  await vi.waitFor(
    async () => {
      const { headers } = await ask('dave', 1);
      expect(Number(headers.get('ratelimit-remaining'))).toBeLessThan(REQUESTS_COUNT - 15);
    },
    { timeout: 20_000, interval: 1_100 },
  );
});

it('messages over HTTP and over a socket count as one', async () => {
  // The first send over HTTP: from now on this api hears the team.
  expect((await say('bob')).status).toBeLessThan(300);
  const wire = await openWire({
    gatewayUrl: stack.gatewayUrls[0]!,
    teamId: team.teamId,
    token: await stack.mintToken('bob'),
  });
  try {
    await wire.welcome();
    for (let n = 0; n < BURST_COUNT - 5; n += 1) {
      const id = wire.say(team.channels['room']!, `text ${n}`);
      expect(await wire.outcome(id)).toMatchObject({ t: 'persisted' });
    }
    const { takenCount, refusal } = await sayUntilRefused('bob');
    expect(refusal.body).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
    expect(refusal.headers.get('ratelimit-limit')).toBe(String(BURST_COUNT));
    expect(refusal.headers.get('ratelimit-remaining')).toBe('0');
    // Counting its own sends alone, the api would take BURST_COUNT - 1.
    expect(takenCount).toBeLessThan(BURST_COUNT - 1);
    // The gateway sees those over HTTP as well, before it delivers them.
    await vi.waitFor(
      () => {
        const messages = wire.events.filter(({ type }) => type === 'message.sent');
        expect(messages).toHaveLength(BURST_COUNT - 5 + takenCount);
      },
      { timeout: 10_000 },
    );
    const id = wire.say(team.channels['room']!, 'too much');
    expect(await wire.outcome(id)).toMatchObject({ t: 'rejected', code: 'RATE_LIMITED' });
  } finally {
    await wire.close();
  }
});

it('messages over two apis count as one, and a message that was refused does not count', async () => {
  expect((await say('erin', 1)).status).toBeLessThan(300);
  const one = await sayUntilRefused('erin', 0);
  expect(one.takenCount).toBeGreaterThanOrEqual(BURST_COUNT - 1);
  const other = await sayUntilRefused('erin', 1);
  expect(other.takenCount).toBeLessThan(BURST_COUNT - 1);
  expect((await say('frank', 1)).status).toBeLessThan(300);
});
