import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import type { MessagesResponse } from '@chat/contracts/http';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  call,
  expectRefusal,
  get,
  makeTeam,
  messagesPath,
  say,
  stack,
  tokenOf,
  useStack,
} from './testing/api-stack.ts';

useStack();

const routes = ['/api/v1/messages', '/api/v1/commands', '/api/v1/teams', '/dev/token'];

describe('hostile requests', () => {
  it('get an error body with the status that fits', async () => {
    expectRefusal(await call('GET', '/nope', { as: 'alice' }), 'NOT_FOUND');
    expectRefusal(await call('POST', '/nope', { json: {} }), 'NOT_FOUND');
    const wrongMethod = await call('DELETE', '/api/v1/messages', { as: 'alice' });
    expectRefusal(wrongMethod, 'METHOD_NOT_ALLOWED');
    expect(wrongMethod.headers.get('allow')).toBe('POST');
    expectRefusal(await call('PUT', '/api/v1/teams', { json: {} }), 'METHOD_NOT_ALLOWED');
    const typed = (type: string, raw: string | Uint8Array<ArrayBuffer>) =>
      call('POST', '/api/v1/messages', { as: 'alice', raw, headers: { 'content-type': type } });
    expectRefusal(await typed('text/plain', 'x'), 'MEDIA_TYPE_UNSUPPORTED');
    expectRefusal(await typed('application/json', ''), 'REQUEST_INVALID');
    expectRefusal(await typed('application/json', '{"a":'), 'REQUEST_INVALID');
    expectRefusal(await typed('application/json', '{"__proto__":{"a":1}}'), 'REQUEST_INVALID');
    expectRefusal(await typed('application/json', '['.repeat(100_000)), 'REQUEST_INVALID');
    expectRefusal(await typed('application/json', `"${'x'.repeat(300_000)}"`), 'BODY_TOO_LARGE');
    const latin1 = new Uint8Array(Buffer.from('{"teamId":"\xe9"}', 'latin1'));
    const notUtf8 = await typed('application/json', latin1);
    expectRefusal(notUtf8, 'REQUEST_INVALID');
    expect(notUtf8.body.message).toMatch(/UTF-8/);
    expectRefusal(await get('alice', '/api/v1/channels/%zz/messages'), 'REQUEST_INVALID');
  });

  it('that are not HTTP get an error body too', async () => {
    const { hostname, port } = new URL(stack.apiUrl);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write('\x16\x03\x01 hello\r\n\r\n'));
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"REQUEST_INVALID"');
  });

  it('never make the server fail, whatever bytes or JSON they hold', async () => {
    const { teamId, channelId } = await makeTeam();
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(teamId, channelId, randomUUID(), 'message.send', 'member.add'),
    );
    const fields = [
      'teamId',
      'id',
      'messageId',
      'channelId',
      'text',
      'name',
      'data',
      'user',
      '__proto__',
      'x',
    ];
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((json) => Buffer.from(json)),
      fc.dictionary(fc.constantFrom(...fields), value).map((object) => Buffer.from(JSON.stringify(object))),
    );
    const token = await tokenOf('alice');
    const property = fc.asyncProperty(fc.constantFrom(...routes), body, async (path, raw) => {
      const { status, json } = await rawPost(path, token, raw);
      expect(status).toBeLessThan(500);
      if (status >= 400)
        expect(json).toMatchObject({ code: expect.any(String), retryable: expect.any(Boolean) });
    });
    await fc.assert(property, { numRuns: 300 });
    expect((await call('GET', '/health/liveness')).status).toBe(200);
  }, 60_000);
});

const rawPost = (path: string, token: string, body: Buffer) =>
  new Promise<{ status: number; json: unknown }>((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': String(body.length),
    };
    const request = httpRequest(stack.apiUrl + path, { method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) }));
    });
    request.on('error', reject);
    request.end(body);
  });

const within = { timeout: 30_000, interval: 200 };

// Last: they stop what the others need.
describe('a part that is away', () => {
  it('the writer: 202, and the same id tells the outcome when it is back', async () => {
    const team = await makeTeam();
    await stack.stop('writer-1');
    const id = randomUUID();
    const first = await say('alice', team, 'wait', id);
    expect(first).toMatchObject({ status: 202, body: { status: 'accepted', id } });
    await stack.start('writer-1');
    await vi.waitFor(
      async () => {
        const again = await say('alice', team, 'wait', id);
        expect(again.status).toBe(200);
        expect(again.body.message).toMatchObject({ id, channelSeq: 1 });
      },
      { timeout: 20_000, interval: 100 },
    );
  }, 60_000);

  it('NATS: 503, to be sent again under the same id, while reads go on', async () => {
    const team = await makeTeam();
    await say('alice', team, 'before');
    await stack.kill('nats');
    const id = randomUUID();
    const refused = await say('alice', team, 'later', id);
    expectRefusal(refused, 'UNAVAILABLE');
    expect(refused.body.retryAfterMs).toBeGreaterThan(0);
    expect((await get('bob', messagesPath(team))).status).toBe(200);
    await stack.start('nats');
    await vi.waitFor(
      async () =>
        expect((await say('alice', team, 'later', id)).body.message).toMatchObject({ channelSeq: 2 }),
      { timeout: 30_000, interval: 200 },
    );
  }, 60_000);

  it('PostgreSQL that hangs: reads are 503 and soon at once, sends are accepted, and all comes back by itself', async () => {
    const team = await makeTeam();
    await say('alice', team, 'before');
    const read = () => get('bob', messagesPath(team));
    const id = randomUUID();
    stack.pause('postgres');
    try {
      const sent = say('alice', team, 'meanwhile', id);
      for (const refused of await Promise.all(Array.from({ length: 12 }, read))) {
        expectRefusal(refused, 'UNAVAILABLE');
        expect(refused.body.retryAfterMs).toBeGreaterThan(0);
      }
      expect(await sent).toMatchObject({ status: 202, body: { status: 'accepted', id } });
      // The breaker is open: nobody waits for a time-out of 5 s any more.
      const askedAtMs = performance.now();
      expectRefusal(await read(), 'UNAVAILABLE');
      expect(performance.now() - askedAtMs).toBeLessThan(3_000);
      expect((await call('GET', '/health/liveness')).status).toBe(200);
      await vi.waitFor(async () => {
        const { status, body } = await call('GET', '/health/readiness');
        expect(status).toBe(503);
        expect(JSON.stringify(body)).toContain('chat-api-postgres is not asked while its breaker is open');
      }, within);
      const metrics = await (await fetch(stack.metricsUrl('api-1'))).text();
      expect(metrics).toContain('chat_breaker_state{breaker="chat-api-postgres"} 2');
    } finally {
      stack.resume('postgres');
    }
    await vi.waitFor(async () => expect((await read()).status).toBe(200), within);
    await vi.waitFor(async () => {
      const { body } = await say('alice', team, 'meanwhile', id);
      expect(body.message).toMatchObject({ id, channelSeq: 2 });
    }, within);
    await vi.waitFor(async () => expect((await call('GET', '/health/readiness')).status).toBe(200), within);
  }, 90_000);

  it('PostgreSQL: reads are 503 and come back by themselves, and the process stays alive', async () => {
    const team = await makeTeam();
    await say('alice', team, 'before');
    await stack.kill('postgres');
    expectRefusal(await get('bob', messagesPath(team)), 'UNAVAILABLE');
    expect((await call('GET', '/health/liveness')).status).toBe(200);
    await vi.waitFor(async () => expect((await call('GET', '/health/readiness')).status).toBe(503), {
      timeout: 10_000,
    });
    await stack.start('postgres');
    await vi.waitFor(
      async () => {
        const { status, body } = await get<MessagesResponse>('bob', messagesPath(team));
        expect(status).toBe(200);
        expect(body.messages.map(({ text }) => text)).toEqual(['before']);
      },
      { timeout: 30_000, interval: 200 },
    );
  }, 90_000);
});
