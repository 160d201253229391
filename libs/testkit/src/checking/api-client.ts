/** The HTTP API as a foreign program would use it: plain requests, status and JSON answered as they are. */

import type { ErrorBody } from '@chat/contracts/errors';
import type {
  ChannelsResponse,
  MembersResponse,
  MessageView,
  MessagesResponse,
  SendMessageResponse,
} from '@chat/contracts/http';
import type { ChannelId, TeamId } from '@chat/contracts/ids';

export type Answer<T> = { readonly status: number; readonly body: T };

export type ApiClient = {
  get<T>(path: string): Promise<Answer<T>>;
  post<T>(path: string, body: unknown): Promise<Answer<T>>;
  /** Any method, any bytes; the body is parsed when it is JSON and text otherwise. */
  request(path: string, init: RequestInit): Promise<Answer<unknown>>;
  say(
    channelId: ChannelId,
    text: string,
    messageId: string,
  ): Promise<Answer<SendMessageResponse & ErrorBody>>;
  command(name: string, data: unknown, id: string): Promise<Answer<unknown>>;
  channels(query?: string): Promise<Answer<ChannelsResponse & ErrorBody>>;
  members(channelId: ChannelId): Promise<Answer<MembersResponse & ErrorBody>>;
  messages(channelId: ChannelId, query?: string): Promise<Answer<MessagesResponse & ErrorBody>>;
  /** The whole history, page by page, each page after the last; throws on any answer but 200. */
  history(channelId: ChannelId, minSeq?: number): Promise<readonly MessageView[]>;
};

export type ApiClientOptions = {
  readonly apiUrl: string;
  readonly teamId: TeamId;
  readonly token: string;
};

const REQUEST_TIMEOUT_MS = 20_000;
const PAGE_COUNT = 200;

export const createApiClient = ({ apiUrl, teamId, token }: ApiClientOptions): ApiClient => {
  const request: ApiClient['request'] = async (path, init) => {
    const response = await fetch(`${apiUrl}${path}`, {
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...init,
      headers: { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string> | undefined) },
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    return { status: response.status, body: isJson ? (JSON.parse(text) as unknown) : text };
  };
  const get = <T>(path: string) => request(path, { method: 'GET' }) as Promise<Answer<T>>;
  const post = <T>(path: string, body: unknown) =>
    request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }) as Promise<Answer<T>>;
  const messages: ApiClient['messages'] = (channelId, query = '') =>
    get(`/api/v1/channels/${channelId}/messages?teamId=${teamId}${query}`);

  const history = async (channelId: ChannelId, minSeq = 0): Promise<readonly MessageView[]> => {
    const all: MessageView[] = [];
    for (;;) {
      const after = all.at(-1)?.channelSeq ?? 0;
      const { status, body } = await messages(
        channelId,
        `&after=${after}&limit=${PAGE_COUNT}${minSeq > 0 ? `&minSeq=${minSeq}` : ''}`,
      );
      if (status !== 200) throw new Error(`history of ${channelId}: ${status} ${body.code}`);
      all.push(...body.messages);
      if (!body.hasMoreAfter) return all;
      if (body.messages.length === 0) throw new Error('a page was empty although more was promised');
    }
  };

  return {
    get,
    post,
    request,
    say: (channelId, text, messageId) => post('/api/v1/messages', { teamId, messageId, channelId, text }),
    command: (name, data, id) => post('/api/v1/commands', { teamId, id, name, data }),
    channels: (query = '') => get(`/api/v1/channels?teamId=${teamId}${query}`),
    members: (channelId) => get(`/api/v1/channels/${channelId}/members?teamId=${teamId}`),
    messages,
    history,
  };
};
