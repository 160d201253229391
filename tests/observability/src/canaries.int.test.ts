/**
 * Canaries (I9): texts, tokens, addresses and passwords that go in somewhere and must never come out in a log line (at
 * LOG_LEVEL=trace), a metric or a trace: not when all is well, not when refused, not from a poison command, not while
 * PostgreSQL is killed.
 */

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { cmdSubject } from '@chat/contracts/subjects';
import { eventually } from './eventually.ts';
import { type ObservedStack, apps, startObservedStack } from './observed-stack.ts';
import { openWire } from './wire.ts';

const text = 'canary-text-7f3a';
const email = 'canary.person@example.com';
const badToken = 'canary-token-51bd';
const message = (what: string): string => `${text} ${what} ${email}`;

let observed: ObservedStack;
beforeAll(async () => {
  observed = await startObservedStack();
}, 120_000);
afterAll(async () => observed?.stop());

describe('no log line, metric or trace', () => {
  const httpCanary = 'canary-http-2c9e';

  const hostileFrames = async (): Promise<void> => {
    const { alice, aliceToken, channelId, say, stack, team } = observed;
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
    alice.send(channelId, `${message('nul')}\u0000`);
    alice.write(Buffer.from(text));
    await say(message('after hostile frames')).catch(() => undefined);
    const big = await openWire(gatewayUrl, team.teamId, aliceToken);
    await big.frame(({ t }) => t === 'welcome');
    big.write(`{"t":"cmd","pad":"${message('x'.repeat(70_000))}"}`);
    await big.close();
  };

  const hostileRequests = async (): Promise<void> => {
    const { aliceToken, channelId, post, stack, team } = observed;
    await post('/api/v1/messages', `{"text":"${message('broken')}`);
    await post('/api/v1/messages', JSON.stringify({ text: message('shapeless'), email }));
    await post('/api/v1/messages', '{}', badToken);
    await fetch(`${stack.apiUrl}/api/v1/${httpCanary}?token=${badToken}&q=${httpCanary}&email=${email}`);
    const query = `?q=${httpCanary}&before=${httpCanary}&minSeq=${httpCanary}`;
    await fetch(`${stack.apiUrl}/api/v1/channels/${channelId}/messages${query}&teamId=${team.teamId}`, {
      headers: { authorization: `Bearer ${aliceToken}` },
    });
  };

  /** Bytes in CMD that no gateway would send. */
  const poison = async (): Promise<void> => {
    const { lines, stack, team } = observed;
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
    const { alice, aliceToken, channelId, lines, post, stack, team } = observed;
    const before = lines.length;
    const pid = stack.pid('postgres');
    await stack.kill('postgres');
    // The api has to say something too.
    await fetch(`${stack.apiUrl}/api/v1/channels/${channelId}/messages?teamId=${team.teamId}`, {
      headers: { authorization: `Bearer ${aliceToken}` },
    });
    const id = alice.send(channelId, message('while PostgreSQL is away'));
    await post('/api/v1/messages', JSON.stringify({ teamId: team.teamId, text: message('away') }));
    await eventually('the line about PostgreSQL', () =>
      lines.slice(before).find(({ name, line }) => name === 'writer-1' && line.includes('"level":"warn"')),
    );
    expect((await alice.outcome(id)).t).toBe('persisted');
    expect(stack.pid('postgres')).not.toBe(pid);
  };

  const secrets = ({ aliceToken, stack }: ObservedStack): readonly string[] => [
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
      const { aliceToken, lines, receiver, stack } = observed;
      const texts = await observed.expositions();
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
          secrets(observed)
            .filter((secret) => secret.length >= 8 && content.includes(secret))
            .map((secret) => `${place}: ${secret} in ${content.slice(0, 400)}`),
        );
      // The look itself can fail.
      expect(leaksIn([['planted', `a line with ${aliceToken}`]])).not.toEqual([]);
      expect(leaksIn(places)).toEqual([]);
    },
  );
});
