import { randomUUID } from 'node:crypto';
import type {
  ChannelsResponse,
  CreateTeamResponse,
  DevTokenResponse,
  MembersResponse,
  MessagesResponse,
  TeamsResponse,
} from '@chat/contracts/http';
import { describe, expect, it, vi } from 'vitest';
import {
  call,
  command,
  expectRefusal,
  get,
  makeTeam,
  messagesPath,
  post,
  say,
  stack,
  tokenOf,
  useStack,
} from './testing/api-stack.ts';

useStack();

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

  it('refuses a user who sends too fast, says when to come again, and nobody else', async () => {
    const team = await makeTeam();
    const answers = await Promise.all(Array.from({ length: 240 }, () => say('bob', team, 'fast')));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(5);
    // On a busy machine the outcome of some comes after the wait: 202.
    const taken = answers.filter(({ status }) => status === 201 || status === 202);
    expect(taken).toHaveLength(240 - refused.length);
    expectRefusal(refused[0]!, 'RATE_LIMITED');
    expect(refused[0]!.body.retryAfterMs).toBeGreaterThan(0);
    expect((await say('alice', team, 'slow')).status).toBe(201);
    const metrics = await (await fetch(stack.metricsUrl('api-1'))).text();
    expect(metrics).toContain(`chat_limit_refusals_total{limit="messages"} ${refused.length}`);
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
      '/api/v1/search',
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

  it('is metrics that count what happened, by route and never by path', async () => {
    const counts = async () => {
      const text = await (await fetch(stack.metricsUrl('api-1'))).text();
      expect(text).not.toContain(team.channelId);
      const value = (line: string) =>
        Number(
          text
            .split('\n')
            .find((row) => row.startsWith(`${line} `))
            ?.split(' ')[1] ?? 0,
        );
      const route = 'method="GET",route="/api/v1/channels/:id/messages"';
      return {
        found: value(`chat_api_requests_total{${route},status="200"}`),
        missing: value(`chat_api_requests_total{${route},status="404"}`),
        timed: value(`chat_api_request_duration_seconds_count{${route}}`),
        refused: value('chat_api_refusals_total{code="CHANNEL_NOT_FOUND"}'),
        nowhere: value('chat_api_requests_total{method="GET",route="none",status="404"}'),
        inFlight: value('chat_api_requests_in_flight'),
      };
    };
    const team = await makeTeam();
    const before = await counts();
    await get('bob', messagesPath(team, `&minSeq=${team.seq}`));
    await get('bob', messagesPath({ ...team, channelId: randomUUID() }));
    await get('bob', '/nowhere');
    await vi.waitFor(async () =>
      expect(await counts()).toEqual({
        found: before.found + 1,
        missing: before.missing + 1,
        timed: before.timed + 2,
        refused: before.refused + 1,
        nowhere: before.nowhere + 1,
        inFlight: 0,
      }),
    );
  });
});
