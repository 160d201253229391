/** A whole stack without gateways, and the api as a foreign program uses it. One per test file. */

import { randomUUID } from 'node:crypto';
import { type ErrorBody, errorCatalogue } from '@chat/contracts/errors';
import type { CommandResponse, CreateTeamResponse, SendMessageResponse } from '@chat/contracts/http';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import { afterAll, beforeAll, expect } from 'vitest';

export type Answer<T> = { readonly status: number; readonly headers: Headers; readonly body: T };

export let stack: ChatStack;
/** Call at the top of a test file. */
export const useStack = (): void => {
  beforeAll(async () => {
    stack = await startChatStack({
      gateways: 0,
      partitions: 2,
      fsync: false,
      env: {
        api: {
          COMMAND_WAIT_MS: '1500',
          MIN_SEQ_WAIT_MS: '500',
          GATEWAY_URLS: 'ws://127.0.0.1:7777',
          // More than the tests of a file send as one person, whatever the machine's speed; the burst refills slowly.
          MESSAGE_BURST_COUNT: '200',
          MESSAGE_BURST_MS: '60000',
          MESSAGE_SUSTAINED_COUNT: '1000',
        },
      },
    });
  }, 120_000);
  afterAll(() => stack?.[Symbol.asyncDispose]());
};

const tokens = new Map<string, Promise<string>>();
export const tokenOf = (user: string): Promise<string> => {
  let token = tokens.get(user);
  if (!token) tokens.set(user, (token = stack.mintToken(user)));
  return token;
};

export const call = async <T = ErrorBody>(
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
export const get = <T = ErrorBody>(as: string, path: string) => call<T>('GET', path, { as });
export const post = <T = ErrorBody>(as: string, path: string, json: unknown) =>
  call<T>('POST', path, { as, json });

export const command = async (as: string, teamId: string, name: string, data: unknown, id = randomUUID()) =>
  (await post<CommandResponse & ErrorBody>(as, '/api/v1/commands', { teamId, id, name, data })).body;

export type Team = {
  readonly teamId: string;
  readonly channelId: string;
  readonly seq: number;
  readonly epoch: string;
};

/** A team of alice's with bob in it, and a private channel of both. */
export const makeTeam = async (): Promise<Team> => {
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

export const say = (
  as: string,
  { teamId, channelId }: Team,
  text: string,
  messageId: string = randomUUID(),
) => post<SendMessageResponse & ErrorBody>(as, '/api/v1/messages', { teamId, messageId, channelId, text });

export const expectRefusal = (answer: Answer<ErrorBody>, code: keyof typeof errorCatalogue): void => {
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

export const messagesPath = ({ teamId, channelId }: Team, more = ''): string =>
  `/api/v1/channels/${channelId}/messages?teamId=${teamId}${more}`;
