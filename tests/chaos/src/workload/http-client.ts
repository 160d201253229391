/** A foreign program that writes over HTTP, one message at a time, again under its id until it knows the outcome. */

import { randomUUID } from 'node:crypto';
import type { ErrorBody } from '@chat/contracts/errors';
import type { SendMessageResponse } from '@chat/contracts/http';
import type { ChannelId } from '@chat/contracts/ids';
import type { LineFields } from '../history-line.ts';
import { type ClientDeps, DEFAULT_RETRY_MS, type Known, type LoadClient } from './client.ts';
import { type ApiCaller, delayMs } from './api-caller.ts';

export type HttpClientDeps = ClientDeps & { readonly call: ApiCaller };

type Message = { readonly messageId: string; readonly channelId: ChannelId; readonly text: string };

export const createHttpClient = (deps: HttpClientDeps): LoadClient & { readonly known: Known } => {
  const { name, teamId, userId, recorder, call } = deps;
  const known: Known = new Map();
  const stopping = new AbortController();
  let isBusy = false;
  let last: Message | undefined;
  let running: Promise<void> = Promise.resolve();

  const note = (fields: Omit<LineFields, 'client' | 'conn' | 'team' | 'user'>): void =>
    recorder.write({ client: name, conn: 0, team: teamId, user: userId, ...fields });

  const once = async (op: 'send' | 'repeat', message: Message): Promise<boolean> => {
    const { messageId: msgId, channelId, text } = message;
    const answer = await call<SendMessageResponse & ErrorBody>(userId, 'POST', '/api/v1/messages', {
      teamId,
      messageId: msgId,
      channelId,
      text,
    });
    if (answer.status === 0) note({ op, type: 'info', msgId, code: 'NO_ANSWER' });
    else if (answer.status === 200 || answer.status === 201) {
      const { seq, channelSeq } = answer.body.message;
      note({ op, type: 'ok', msgId, seq, isDuplicate: answer.status === 200 });
      known.set(channelId, { seq, channelSeq });
      last = message;
      return true;
    } else if (answer.status === 202) note({ op: 'accept', type: 'ok', msgId });
    else if (answer.body.retryable) note({ op, type: 'info', msgId, code: answer.body.code });
    else {
      note({ op, type: 'fail', msgId, code: answer.body.code });
      return true;
    }
    await delayMs(answer.status === 0 ? DEFAULT_RETRY_MS : (answer.body.retryAfterMs ?? DEFAULT_RETRY_MS));
    return false;
  };

  const deliver = async (op: 'send' | 'repeat', message: Message): Promise<void> => {
    while (!stopping.signal.aborted) if (await once(op, message)) return;
  };
  const begin = (op: 'send' | 'repeat', message: Message): void => {
    isBusy = true;
    note({ op, type: 'invoke', msgId: message.messageId, channel: message.channelId, text: message.text });
    running = deliver(op, message).finally(() => {
      isBusy = false;
    });
  };

  return {
    name,
    teamId,
    userId,
    known,
    isListener: false,
    start: () => undefined,
    isReady: () => true,
    pendingCount: () => (isBusy ? 1 : 0),
    seenSeq: () => undefined,
    send: (channelId, text) => {
      if (isBusy) return false;
      begin('send', { messageId: randomUUID(), channelId, text });
      return true;
    },
    repeat: () => {
      if (isBusy || !last) return false;
      begin('repeat', last);
      return true;
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
};
