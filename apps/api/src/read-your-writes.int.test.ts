/** `minSeq` over both stores, with a projector that is away: a read never answers without what the asker has seen. */

import { randomUUID } from 'node:crypto';
import type { ErrorBody } from '@chat/contracts/errors';
import type { CommandResponse, MessagesResponse, SendMessageResponse } from '@chat/contracts/http';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe.each(['postgres', 'mongodb'] as const)('a read of %s with minSeq', (readStore) => {
  let stack: ChatStack;
  let token: string;
  let team: Awaited<ReturnType<ChatStack['seedTeam']>>;
  beforeAll(async () => {
    stack = await startChatStack({
      gateways: 0,
      partitions: 1,
      fsync: false,
      readStore,
      env: { api: { MIN_SEQ_WAIT_MS: '200' } },
    });
    token = await stack.mintToken('alice');
    team = await stack.seedTeam({ owner: 'alice', members: ['bob'], channels: [{ name: 'room' }] });
  }, 120_000);
  afterAll(() => stack?.[Symbol.asyncDispose]());

  const call = async <T>(path: string, json?: unknown): Promise<{ status: number; body: T & ErrorBody }> => {
    const response = await fetch(stack.apiUrl + path, {
      method: json === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    return { status: response.status, body: (await response.json()) as T & ErrorBody };
  };

  it('is refused with the lag while the projector is away, and holds everything asked for when it is back', async () => {
    const { teamId } = team;
    const channelId = team.channels['room']!;
    const room = `/api/v1/channels/${channelId}`;
    const say = async (): Promise<number> => {
      const message = { teamId, channelId, messageId: randomUUID(), text: 'mine' };
      const sent = await call<SendMessageResponse>('/api/v1/messages', message);
      expect(sent.status).toBe(201);
      return sent.body.message.seq;
    };
    /** The first answer that is no refusal: it must hold it all. */
    const historyAt = async (minSeq: number): Promise<MessagesResponse> => {
      for (;;) {
        const { status, body } = await call<MessagesResponse>(
          `${room}/messages?teamId=${teamId}&minSeq=${minSeq}`,
        );
        if (status !== 200) {
          expect(body.code).toBe('READ_MODEL_BEHIND');
          continue;
        }
        expect(body.asOf).toBeGreaterThanOrEqual(minSeq);
        return body;
      }
    };
    const seqsOf = ({ messages }: MessagesResponse) => messages.map(({ channelSeq }) => channelSeq);

    expect(seqsOf(await historyAt(await say()))).toEqual([1]);
    await stack.stop('projector-1');
    const { asOf } = (await call<MessagesResponse>(`${room}/messages?teamId=${teamId}`)).body;
    await say();
    await say();
    const last = await say();
    const data = { kind: 'public', name: 'new' };
    const made = { teamId, id: randomUUID(), name: 'channel.create', data };
    const { epoch, seq } = (await call<CommandResponse>('/api/v1/commands', made)).body;
    expect(seq).toBeGreaterThan(last);

    const paths = [`${room}/messages?`, `${room}/members?`, '/api/v1/channels?', '/api/v1/teams?'];
    for (const path of paths) {
      const { status, body } = await call(`${path}teamId=${teamId}&minSeq=${seq}&epoch=${epoch}`);
      expect(status).toBe(503);
      const refusal = { code: 'READ_MODEL_BEHIND', retryable: true, lagCount: seq - asOf };
      expect(body).toMatchObject(refusal);
      expect(body.retryAfterMs).toBeGreaterThan(0);
    }
    // What was applied can be read, and says how old it is.
    const old = await call<MessagesResponse>(`${room}/messages?teamId=${teamId}&minSeq=${asOf}`);
    expect(old.status).toBe(200);
    expect(old.body.asOf).toBe(asOf);
    expect(seqsOf(old.body)).toEqual([1]);

    await stack.start('projector-1');
    expect(seqsOf(await historyAt(last))).toEqual([1, 2, 3, 4]);
  }, 60_000);
});
