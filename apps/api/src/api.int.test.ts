import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { errorCatalogue } from '@chat/contracts/errors';
import type {
  ChannelsResponse,
  CommandResponse,
  CreateTeamResponse,
  DevTokenResponse,
  MembersResponse,
  MessagesResponse,
  SendMessageResponse,
  TeamsResponse,
} from '@chat/contracts/http';
import type { ErrorBody } from '@chat/contracts/errors';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

type Answer<T> = { readonly status: number; readonly headers: Headers; readonly body: T };

let stack: ChatStack;
beforeAll(async () => {
  stack = await startChatStack({
    gateways: 0,
    partitions: 2,
    fsync: false,
    env: { api: { COMMAND_WAIT_MS: '1500', MIN_SEQ_WAIT_MS: '500', GATEWAY_URLS: 'ws://127.0.0.1:7777' } },
  });
}, 120_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

const tokens = new Map<string, Promise<string>>();
const tokenOf = (user: string): Promise<string> => {
  let token = tokens.get(user);
  if (!token) tokens.set(user, (token = stack.mintToken(user)));
  return token;
};

const call = async <T = ErrorBody>(
  method: string,
  path: string,
  options: {
    as?: string;
    json?: unknown;
    raw?: string | Uint8Array<ArrayBuffer>;
    headers?: Record<string, string>;
  } = {},
): Promise<Answer<T>> => {
  const { as, json, raw, headers } = options;
  const body = json === undefined ? raw : JSON.stringify(json);
  const response = await fetch(stack.apiUrl + path, {
    method,
    headers: {
      ...(as === undefined ? {} : { authorization: `Bearer ${await tokenOf(as)}` }),
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false;
  return {
    status: response.status,
    headers: response.headers,
    body: (isJson ? JSON.parse(text) : text) as T,
  };
};
const get = <T = ErrorBody>(as: string, path: string) => call<T>('GET', path, { as });
const post = <T = ErrorBody>(as: string, path: string, json: unknown) => call<T>('POST', path, { as, json });

const command = async (as: string, teamId: string, name: string, data: unknown, id = randomUUID()) =>
  (await post<CommandResponse & ErrorBody>(as, '/api/v1/commands', { teamId, id, name, data })).body;

type Team = {
  readonly teamId: string;
  readonly channelId: string;
  readonly seq: number;
  readonly epoch: string;
};

/** A team of alice's with bob in it, and a private channel of both. */
const makeTeam = async (): Promise<Team> => {
  const made = await post<CreateTeamResponse>('alice', '/api/v1/teams', { id: randomUUID(), name: 'team' });
  expect(made.status).toBe(201);
  const { teamId, epoch } = made.body;
  await command('alice', teamId, 'member.add', { userId: 'bob' });
  const channelId = randomUUID();
  await command('alice', teamId, 'channel.create', { kind: 'private', name: 'chat' }, channelId);
  const { seq } = await command('alice', teamId, 'member.add', { userId: 'bob', channelId });
  expect(seq).toBeGreaterThan(0);
  return { teamId, channelId, seq, epoch };
};

const say = (as: string, { teamId, channelId }: Team, text: string, messageId: string = randomUUID()) =>
  post<SendMessageResponse & ErrorBody>(as, '/api/v1/messages', { teamId, messageId, channelId, text });

const expectRefusal = (answer: Answer<ErrorBody>, code: keyof typeof errorCatalogue): void => {
  expect(answer.body).toMatchObject({
    code,
    message: expect.any(String),
    retryable: errorCatalogue[code].retryable,
  });
  expect(answer.status).toBe(errorCatalogue[code].status);
  const { retryAfterMs } = answer.body;
  if (retryAfterMs !== undefined) {
    expect(answer.headers.get('retry-after')).toBe(String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  }
};

describe('the command entry', () => {
  it('answers 201 with the message, and 200 with the same message to a repeat', async () => {
    const team = await makeTeam();
    const id = randomUUID();
    const first = await say('alice', team, 'hello', id);
    expect(first.status).toBe(201);
    expect(first.body.epoch).toBe(team.epoch);
    expect(first.body.message).toMatchObject({ id, channelSeq: 1, actor: 'alice', text: 'hello' });
    const again = await say('alice', team, 'hello', id.toUpperCase());
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
  });

  it('gives fifty equal sends at once one message and fifty equal bodies, one of them 201', async () => {
    const team = await makeTeam();
    const id = randomUUID();
    const answers = await Promise.all(Array.from({ length: 50 }, () => say('alice', team, 'once', id)));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(49);
    const { seq } = answers[0]!.body.message;
    const { body } = await get<MessagesResponse>('bob', messagesPath(team, `&minSeq=${seq}`));
    expect(body.messages.map((message) => message.id)).toEqual([id]);
  });

  it('refuses an id that was used for another body or by another sender', async () => {
    const team = await makeTeam();
    const id = randomUUID();
    await say('alice', team, 'one', id);
    expectRefusal(await say('alice', team, 'two', id), 'MSG_DUPLICATE_SEND');
    expectRefusal(await say('bob', team, 'one', id), 'MSG_DUPLICATE_SEND');
  });

  it('makes one team of a repeated team.create, whose id is not for the client to choose', async () => {
    const id = randomUUID();
    const body = { id, name: 'twice' };
    const [one, other] = await Promise.all([
      post<CreateTeamResponse>('carol', '/api/v1/teams', body),
      post<CreateTeamResponse>('carol', '/api/v1/teams', body),
    ]);
    expect(one.body).toEqual(other.body);
    expect([one.status, other.status].sort()).toEqual([200, 201]);
    const foreign = await post<CreateTeamResponse>('dave', '/api/v1/teams', body);
    expect(foreign.status).toBe(201);
    expect(foreign.body.teamId).not.toBe(one.body.teamId);
    const { teamId } = one.body;
    const named = { teamId, id: randomUUID(), name: 'team.create', data: { name: 'x' } };
    expectRefusal(await post('carol', '/api/v1/commands', named), 'COMMAND_INVALID');
  });

  it('gives each refusal the status of its code', async () => {
    const team = await makeTeam();
    expectRefusal(await say('alice', { ...team, channelId: randomUUID() }, 'x'), 'MSG_CHANNEL_NOT_FOUND');
    expectRefusal(await say('mallory', team, 'x'), 'TEAM_NOT_FOUND');
    expectRefusal(await say('alice', { ...team, teamId: 'zz23456789abcdef' }, 'x'), 'TEAM_NOT_FOUND');
    expectRefusal(await say('alice', { ...team, teamId: '../../etc' }, 'x'), 'TEAM_NOT_FOUND');
    expectRefusal(await say('alice', team, '  '), 'MSG_TEXT_EMPTY');
    expectRefusal(await say('alice', team, 'a\u0000b'), 'MSG_TEXT_INVALID');
    expectRefusal(await say('alice', team, 'x'.repeat(32 * 1024 + 1)), 'MSG_TEXT_TOO_LONG');
    expectRefusal(await say('alice', team, 'x', 'not-a-uuid'), 'COMMAND_ID_INVALID');
    const { teamId } = team;
    const unknown = { teamId, id: randomUUID(), name: 'team.explode', data: {} };
    expectRefusal(await post('alice', '/api/v1/commands', unknown), 'COMMAND_UNKNOWN');
    const loneSurrogate = `{"teamId":"${teamId}","messageId":"${randomUUID()}","channelId":"${team.channelId}","text":"\\ud800"}`;
    const headers = { 'content-type': 'application/json' };
    const answer = await call('POST', '/api/v1/messages', { as: 'alice', raw: loneSurrogate, headers });
    expectRefusal(answer, 'MSG_TEXT_INVALID');
  });

  it('gives every text back as it was sent, or refuses it', async () => {
    const team = await makeTeam();
    const texts = [
      '日本語',
      '👩‍👩‍👧‍👦',
      'e\u0301',
      '\u202Eabc',
      'a\r\n\tb',
      '\u0001'.repeat(32 * 1024),
      '😀'.repeat(8 * 1024),
      '{"a":1}',
    ];
    let seq = 0;
    for (const text of texts) {
      const answer = await say('alice', team, text);
      expect(answer.body.message.text).toBe(text);
      seq = answer.body.message.seq;
    }
    const { body } = await get<MessagesResponse>('bob', messagesPath(team, `&minSeq=${seq}`));
    expect(body.messages.map(({ text }) => text)).toEqual(texts);
  });
});

const messagesPath = ({ teamId, channelId }: Team, more = ''): string =>
  `/api/v1/channels/${channelId}/messages?teamId=${teamId}${more}`;

describe('the reads', () => {
  it('page through the history by channelSeq', async () => {
    const team = await makeTeam();
    let seq = 0;
    for (let n = 1; n <= 7; n += 1) seq = (await say('alice', team, `text ${n}`)).body.message.seq;
    const page = async (more: string) => {
      const { status, body } = await get<MessagesResponse>(
        'bob',
        messagesPath(team, `${more}&minSeq=${seq}`),
      );
      expect(status).toBe(200);
      expect(body.asOf).toBeGreaterThanOrEqual(seq);
      const { messages, hasMoreBefore, hasMoreAfter } = body;
      return [messages.map(({ channelSeq }) => channelSeq), hasMoreBefore, hasMoreAfter];
    };
    expect(await page('&limit=3')).toEqual([[5, 6, 7], true, false]);
    expect(await page('&limit=3&before=5')).toEqual([[2, 3, 4], true, true]);
    expect(await page('&limit=3&before=2')).toEqual([[1], false, true]);
    expect(await page('&limit=3&after=0')).toEqual([[1, 2, 3], false, true]);
    expect(await page('&limit=3&after=7')).toEqual([[], true, false]);
    expect(await page('&limit=3&around=4')).toEqual([[3, 4, 5], true, true]);
    expect(await page('')).toEqual([[1, 2, 3, 4, 5, 6, 7], false, false]);
  });

  it('show channels with unread counts, members and teams', async () => {
    const team = await makeTeam();
    const { teamId, channelId } = team;
    await say('alice', team, 'one');
    const { seq } = (await say('alice', team, 'two')).body.message;
    const unread = async (as: string, minSeq: number) => {
      const { body } = await get<ChannelsResponse>(as, `/api/v1/channels?teamId=${teamId}&minSeq=${minSeq}`);
      return body.channels.find(({ id }) => id === channelId);
    };
    expect(await unread('bob', seq)).toMatchObject({
      unreadCount: 2,
      readUpTo: 0,
      lastChannelSeq: 2,
      role: 'member',
    });
    expect(await unread('alice', seq)).toMatchObject({ unreadCount: 0, role: 'admin' });
    const marked = await command('bob', teamId, 'read.mark', { channelId, channelSeq: 1 });
    expect(await unread('bob', marked.seq)).toMatchObject({ unreadCount: 1, readUpTo: 1 });
    const members = await get<MembersResponse>(
      'bob',
      `/api/v1/channels/${channelId}/members?teamId=${teamId}`,
    );
    expect(members.body.members).toEqual([
      { userId: 'alice', role: 'admin' },
      { userId: 'bob', role: 'member' },
    ]);
    const teams = await get<TeamsResponse>('bob', `/api/v1/teams?teamId=${teamId}&minSeq=${seq}`);
    expect(teams.body.teams).toContainEqual({ id: teamId, name: 'team', role: 'member' });
  });

  it('show nothing to who is not a member (any longer), and do not tell what exists', async () => {
    const team = await makeTeam();
    const { teamId, channelId } = team;
    await say('alice', team, 'secret');
    expectRefusal(await get('mallory', messagesPath(team)), 'TEAM_NOT_FOUND');
    expectRefusal(await get('mallory', `/api/v1/channels?teamId=${teamId}`), 'TEAM_NOT_FOUND');
    expectRefusal(await get('mallory', '/api/v1/channels?teamId=0123456789abcdef'), 'TEAM_NOT_FOUND');
    const { seq } = await command('alice', teamId, 'member.remove', { userId: 'bob', channelId });
    expectRefusal(await get('bob', messagesPath(team, `&minSeq=${seq}`)), 'CHANNEL_NOT_FOUND');
    expectRefusal(await get('bob', messagesPath({ ...team, channelId: randomUUID() })), 'CHANNEL_NOT_FOUND');
    expectRefusal(await get('bob', messagesPath({ ...team, channelId: 'x' })), 'CHANNEL_NOT_FOUND');
  });

  it('wait for minSeq, bounded, and know another epoch', async () => {
    const team = await makeTeam();
    expectRefusal(await get('bob', messagesPath(team, '&minSeq=999999999')), 'READ_MODEL_BEHIND');
    expectRefusal(await get('bob', messagesPath(team, '&minSeq=1&epoch=other')), 'EPOCH_CHANGED');
    const { status } = await get('bob', messagesPath(team, `&minSeq=${team.seq}&epoch=${team.epoch}`));
    expect(status).toBe(200);
  });

  it.each([
    '&before=1&after=2',
    '&limit=0',
    '&limit=201',
    '&before=-1',
    '&before=1e3',
    '&before=x',
    '&extra=1',
    '&before=1&before=2',
    '&minSeq=99999999999999999',
  ])('refuse the query %s', async (more) => {
    const team = { teamId: '00aaaaaaaaaaaaaa', channelId: randomUUID(), seq: 0, epoch: '' };
    expectRefusal(await get('bob', messagesPath(team, more)), 'REQUEST_INVALID');
  });
});

describe('tokens', () => {
  it('are needed, and checked', async () => {
    const missing = await call('GET', '/api/v1/teams');
    expectRefusal(missing, 'AUTH_TOKEN_MISSING');
    expect(missing.headers.get('www-authenticate')).toBe('Bearer');
    const withToken = (authorization: string) => call('GET', '/api/v1/teams', { headers: { authorization } });
    expectRefusal(await withToken('Basic YTpi'), 'AUTH_TOKEN_MISSING');
    expectRefusal(await withToken('Bearer nonsense'), 'AUTH_TOKEN_INVALID');
    const token = await tokenOf('alice');
    const [head, payload, signature] = token.split('.') as [string, string, string];
    const other = Buffer.from(payload, 'base64url').toString().replace('alice', 'bobby');
    const forged = `${head}.${Buffer.from(other).toString('base64url')}.${signature}`;
    expectRefusal(await withToken(`Bearer ${forged}`), 'AUTH_TOKEN_INVALID');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    expectRefusal(await withToken(`Bearer ${none}.${payload}.`), 'AUTH_TOKEN_INVALID');
  });

  it('come from the development issuer', async () => {
    const { status, body } = await call<DevTokenResponse>('POST', '/dev/token', { json: { user: 'erin' } });
    expect(status).toBe(200);
    expect(body).toMatchObject({ userId: 'erin' });
    expect(body.expiresAtMs).toBeGreaterThan(Date.now());
    const answer = await call('GET', '/api/v1/teams', { headers: { authorization: `Bearer ${body.token}` } });
    expect(answer.status).toBe(200);
    expectRefusal(await call('POST', '/dev/token', { json: { user: 'a b' } }), 'REQUEST_INVALID');
  });
});

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

describe('what a browser and an operator find', () => {
  it('is the client configuration, the OpenAPI document, its page, and health', async () => {
    const config = await call('GET', '/api/v1/client-config');
    expect(config.body).toEqual({ gateways: ['ws://127.0.0.1:7777'], demoUsers: ['alice', 'bob', 'carol'] });
    const policy = config.headers.get('content-security-policy');
    expect(policy).toContain("connect-src 'self' ws://127.0.0.1:7777");
    const document = await call<{ openapi: string; paths: Record<string, object> }>('GET', '/openapi.json');
    expect(document.body.openapi).toBe('3.1.0');
    expect(Object.keys(document.body.paths).sort()).toEqual([
      '/api/v1/channels',
      '/api/v1/channels/{id}/members',
      '/api/v1/channels/{id}/messages',
      '/api/v1/client-config',
      '/api/v1/commands',
      '/api/v1/messages',
      '/api/v1/teams',
      '/dev/token',
    ]);
    expect(document.body.paths['/api/v1/teams']).toHaveProperty('get');
    expect(document.body.paths['/api/v1/teams']).not.toHaveProperty('delete');
    expect((await call('GET', '/docs/')).status).toBe(200);
    const ready = await call('GET', '/health/readiness');
    expect(ready).toMatchObject({
      status: 200,
      body: { status: 'ready', checks: { nats: { ok: true }, store: { ok: true } } },
    });
  });
});

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
