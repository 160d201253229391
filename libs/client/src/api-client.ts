/**
 * The reads of the api that a client needs, and the command entry that tells the outcome of a command in doubt.
 * Answers are values: `{ok: false, …}` for refusals and for an api that cannot be reached; retrying is the
 * caller's (it knows until when the answer is of use).
 */

import type { CommandName } from '@chat/contracts/commands';
import { type ErrorBody, errorBody, isErrorCode } from '@chat/contracts/errors';
import type {
  ChannelsResponse,
  CommandResponse,
  MembersResponse,
  MessagesResponse,
  SearchResponse,
} from '@chat/contracts/http';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import { LIST_PAGE_MAX_COUNT } from '@chat/contracts/limits';

/** Longest wait for one answer. */
export const API_TIMEOUT_MS = 10_000;

export type ApiAnswer<T> =
  | { readonly ok: true; readonly status: number; readonly value: T }
  /** `status` 0: no answer came. */
  | { readonly ok: false; readonly status: number; readonly error: ErrorBody };

/** Read your writes: the api answers with a state of at least `minSeq`. */
export type ReadPoint = { readonly minSeq: number; readonly epoch: string };

/** A page of a list: the first, or the one that `cursor` of the answer before asks for. */
export type ListAt = { readonly point: ReadPoint | undefined; readonly cursor?: string | undefined };

/** The first page is as large as the api thinks fit, the others as large as it allows. */
const listQuery = ({ point, cursor }: ListAt) => ({
  ...point,
  ...(cursor === undefined ? {} : { cursor, limit: LIST_PAGE_MAX_COUNT }),
});

export type HistoryQuery = {
  readonly before?: number;
  readonly after?: number;
  readonly around?: number;
  readonly limit?: number;
};

/** Messages with all words of `q`, newest first; `before` and `after` are times in ms. */
export type SearchQuery = {
  readonly q: string;
  readonly channelId?: ChannelId;
  readonly from?: UserId;
  readonly before?: number;
  readonly after?: number;
  readonly limit?: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
};

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

type Deps = {
  readonly apiUrl: string;
  readonly teamId: TeamId;
  readonly getToken: (options: { readonly renew: boolean }) => Promise<string>;
  readonly fetch: Fetch;
};

const asError = (status: number, body: unknown): ErrorBody => {
  const code = (body as ErrorBody | undefined)?.code;
  if (isErrorCode(code)) return body as ErrorBody;
  return errorBody(status >= 500 || status === 0 ? 'UNAVAILABLE' : 'REQUEST_INVALID');
};

export type ApiClient = ReturnType<typeof createApiClient>;

export const createApiClient = ({ apiUrl, teamId, getToken, fetch }: Deps) => {
  const once = async <T>(
    path: string,
    body: unknown,
    renew: boolean,
    signal: AbortSignal,
  ): Promise<ApiAnswer<T>> => {
    try {
      const token = await getToken({ renew });
      const response = await fetch(apiUrl + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(API_TIMEOUT_MS)]),
      });
      const value: unknown = await response.json();
      return response.ok
        ? { ok: true, status: response.status, value: value as T }
        : { ok: false, status: response.status, error: asError(response.status, value) };
    } catch {
      return {
        ok: false,
        status: 0,
        error: errorBody('UNAVAILABLE', { message: 'The api does not answer.' }),
      };
    }
  };

  const call = async <T>(path: string, signal: AbortSignal, body?: unknown): Promise<ApiAnswer<T>> => {
    const answer = await once<T>(path, body, false, signal);
    return answer.status === 401 ? once<T>(path, body, true, signal) : answer;
  };

  const query = (values: Readonly<Record<string, string | number | undefined>>): string => {
    const params = new URLSearchParams({ teamId });
    for (const [name, value] of Object.entries(values))
      if (value !== undefined) params.set(name, String(value));
    return params.toString();
  };

  return {
    channels: (at: ListAt, signal: AbortSignal): Promise<ApiAnswer<ChannelsResponse>> =>
      call(`/api/v1/channels?${query(listQuery(at))}`, signal),
    messages: (
      channelId: ChannelId,
      page: HistoryQuery,
      point: ReadPoint | undefined,
      signal: AbortSignal,
    ): Promise<ApiAnswer<MessagesResponse>> =>
      call(`/api/v1/channels/${channelId}/messages?${query({ ...page, ...point })}`, signal),
    members: (channelId: ChannelId, at: ListAt, signal: AbortSignal): Promise<ApiAnswer<MembersResponse>> =>
      call(`/api/v1/channels/${channelId}/members?${query(listQuery(at))}`, signal),
    search: (
      search: SearchQuery,
      point: ReadPoint | undefined,
      signal: AbortSignal,
    ): Promise<ApiAnswer<SearchResponse>> => call(`/api/v1/search?${query({ ...search, ...point })}`, signal),
    /** 202 (stored, outcome unknown) comes back as ok with that status: ask again. */
    command: (
      command: { readonly id: string; readonly name: CommandName; readonly data: unknown },
      signal: AbortSignal,
    ): Promise<ApiAnswer<CommandResponse>> =>
      call('/api/v1/commands', signal, { teamId, id: command.id, name: command.name, data: command.data }),
  };
};
