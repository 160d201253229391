/**
 * Keeps the store whole by reading the api: snapshots, the channel list after a join, pages of open
 * channels, holes in a channel's numbers, and the outcome of commands whose refusal was in doubt.
 * Every read is repeated with backoff until it succeeds, is refused for good, or nobody wants it any longer.
 */

import type { Cursor } from '@chat/contracts/frames';
import type { ErrorBody } from '@chat/contracts/errors';
import type {
  ChannelsResponse,
  ChannelView,
  ListPage,
  MessagesResponse,
  MessageView,
  ReadStamp,
  SearchResponse,
} from '@chat/contracts/http';
import type { ChannelId } from '@chat/contracts/ids';
import { PAGE_DEFAULT_COUNT, PAGE_MAX_COUNT } from '@chat/contracts/limits';
import type { ApiAnswer, ApiClient, HistoryQuery, ListAt, ReadPoint, SearchQuery } from './api-client.ts';
import { backoffMs } from './backoff.ts';
import { type Clock, pause } from './clock.ts';
import type { Outbox } from './outbox.ts';
import type { SessionInput } from './session-types.ts';
import type { Store } from './store.ts';
import type { Hole } from './timeline.ts';

export type SyncNews = {
  readonly changed: () => void;
  readonly messages: (messages: readonly MessageView[]) => void;
  readonly gap: (channelId: ChannelId, hole: Hole) => void;
  readonly repaired: (channelId: ChannelId, hole: Hole, foundCount: number) => void;
};

type Deps = {
  readonly api: ApiClient;
  readonly store: Store;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly random: () => number;
  readonly cursor: () => Cursor | undefined;
  readonly dispatch: (input: SessionInput) => void;
  readonly news: SyncNews;
};

/** What is found holds all that this client has seen; the store is not changed. */
export type Search = (query: SearchQuery) => Promise<ApiAnswer<SearchResponse>>;
export type LoadResult = { readonly ok: true } | { readonly ok: false; readonly error: ErrorBody };

/** Worth asking again: no answer, trouble on the other side, or a token that will be renewed. */
const isPassing = (answer: ApiAnswer<unknown>): boolean =>
  !answer.ok &&
  (answer.error.retryable || answer.status === 0 || answer.status === 401 || answer.status >= 500);

const isStaleCursor = (answer: ApiAnswer<unknown>): boolean =>
  !answer.ok && answer.error.code === 'CURSOR_INVALID';

type Pages<P> =
  | {
      readonly ok: true;
      readonly pages: readonly P[];
      readonly epoch: string;
      /** Of the oldest page, the first. */
      readonly asOf: number;
    }
  | Extract<ApiAnswer<P>, { ok: false }>;

const channelsOf = (pages: readonly ChannelsResponse[]): readonly ChannelView[] =>
  pages.flatMap(({ channels }) => channels);

/** A list whose cursor is refused is read again from its beginning so many times. */
const LIST_RESTARTS_MAX_COUNT = 3;

export const createSync = ({ api, store, outbox, clock, random, cursor, dispatch, news }: Deps) => {
  let life = new AbortController();
  let snapshotRun = new AbortController();
  let refreshSeq = 0;
  let refreshing: Promise<void> | undefined;
  const repairing = new Set<ChannelId>();
  /** Channels whose newest page was asked for and has not come; what a stop cut off is read after the next start. */
  const unread = new Set<ChannelId>();

  /** Asks until there is an answer that counts. */
  const persist = async <T>(
    signal: AbortSignal,
    ask: () => Promise<ApiAnswer<T>>,
    isUnsettled: (answer: ApiAnswer<T>) => boolean = isPassing,
  ): Promise<ApiAnswer<T> | undefined> => {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const answer = await ask();
      if (signal.aborted) return undefined;
      if (!isUnsettled(answer)) return answer;
      const namedMs = answer.ok ? undefined : answer.error.retryAfterMs;
      await pause(clock, namedMs ?? 100 + backoffMs(attempt, random), signal);
    }
    return undefined;
  };

  /**
   * All pages of a list. None is of an older state than the one before, and all are of one epoch, so that the list as a
   * whole is at least as new as its first page: an entry that is in no page was not there then, or not any longer.
   * Undefined: nobody wants it any longer.
   */
  const allPages = async <P extends ReadStamp & ListPage>(
    signal: AbortSignal,
    first: ReadPoint | undefined,
    ask: (at: ListAt) => Promise<ApiAnswer<P>>,
    isUnsettled: (answer: ApiAnswer<P>) => boolean = isPassing,
  ): Promise<Pages<P> | undefined> => {
    const pages: P[] = [];
    let at: ListAt = { point: first };
    let restartCount = 0;
    for (;;) {
      const answer = await persist(
        signal,
        () => ask(at),
        (given) => !isStaleCursor(given) && isUnsettled(given),
      );
      if (!answer) return undefined;
      if (answer.ok) {
        const { epoch, asOf, nextCursor: cursor } = answer.value;
        pages.push(answer.value);
        if (cursor === undefined) return { ok: true, pages, epoch, asOf: pages[0]?.asOf ?? asOf };
        at = { point: { epoch, minSeq: Math.max(at.point?.minSeq ?? 0, asOf) }, cursor };
      } else if (isStaleCursor(answer) && restartCount < LIST_RESTARTS_MAX_COUNT) {
        // The api became another version between two pages.
        restartCount += 1;
        pages.length = 0;
        at = { point: first };
      } else return answer;
    }
  };

  const point = (minSeq = 0): ReadPoint | undefined => {
    const now = cursor();
    return now && { epoch: now.epoch, minSeq: Math.max(minSeq, now.seq) };
  };

  const loadNewest = async (channelId: ChannelId, signal: AbortSignal): Promise<LoadResult> => {
    unread.add(channelId);
    const answer = await persist(signal, () =>
      api.messages(channelId, { limit: PAGE_DEFAULT_COUNT }, point(), signal),
    );
    if (!answer) return { ok: true };
    unread.delete(channelId);
    if (!answer.ok) return { ok: false, error: answer.error };
    news.messages(store.mergeMessages(channelId, answer.value));
    news.changed();
    return { ok: true };
  };

  const loadOpen = async (signal: AbortSignal): Promise<void> => {
    for (const channelId of store.openChannelIds()) await loadNewest(channelId, signal);
  };

  const snapshot = async (snapshotId: number, epoch: string, head: number): Promise<void> => {
    snapshotRun.abort();
    snapshotRun = new AbortController();
    const signal = AbortSignal.any([snapshotRun.signal, life.signal]);
    const answer = await allPages(
      signal,
      { epoch, minSeq: head },
      (at) => api.channels(at, signal),
      (given) => !given.ok && given.error.code !== 'EPOCH_CHANGED',
    );
    if (!answer) return;
    if (!answer.ok || answer.epoch !== epoch) return dispatch({ kind: 'epoch_stale' });
    store.mergeChannels(channelsOf(answer.pages), answer.asOf, true);
    repairHoles();
    await loadOpen(signal);
    if (signal.aborted) return;
    dispatch({ kind: 'snapshot_done', snapshotId });
    news.changed();
  };

  const refreshOnce = async (): Promise<void> => {
    const { signal } = life;
    while (refreshSeq > 0 && !signal.aborted) {
      const wanted = refreshSeq;
      const answer = await allPages(signal, point(wanted), (at) => api.channels(at, signal));
      if (answer?.ok) {
        store.mergeChannels(channelsOf(answer.pages), answer.asOf, false);
        repairHoles();
        news.changed();
        await loadOpen(signal);
      }
      // Cut off by a stop, it stays owed: the next start reads it.
      if (refreshSeq === wanted && !signal.aborted) refreshSeq = 0;
    }
  };

  const refresh = (seq: number): void => {
    refreshSeq = Math.max(refreshSeq, seq);
    if (refreshSeq === 0) return;
    refreshing ??= refreshOnce().finally(() => {
      refreshing = undefined;
      // A start that came while the old run was ending found it running.
      if (!life.signal.aborted) refresh(0);
    });
  };

  const repair = async (channelId: ChannelId, hole: Hole): Promise<void> => {
    const { signal } = life;
    news.gap(channelId, hole);
    let after = hole.from - 1;
    let foundCount = 0;
    while (after < hole.to) {
      const query: HistoryQuery = { after, limit: Math.min(PAGE_MAX_COUNT, hole.to - after) };
      const answer = await persist(signal, () => api.messages(channelId, query, point(hole.seq), signal));
      if (!answer) return;
      const page: MessagesResponse | undefined = answer.ok ? answer.value : undefined;
      if (page) {
        const added = store.mergeMessages(channelId, page);
        foundCount += added.length;
        news.messages(added);
      }
      const last = page?.messages.at(-1)?.channelSeq;
      if (last === undefined || last <= after) break;
      after = last;
    }
    store.closeHole(channelId, hole);
    news.repaired(channelId, hole, foundCount);
    news.changed();
  };

  const repairHoles = (): void => {
    for (const { channelId, hole } of store.holes()) {
      if (repairing.has(channelId)) continue;
      repairing.add(channelId);
      void repair(channelId, hole).finally(() => {
        repairing.delete(channelId);
        if (!life.signal.aborted) repairHoles();
      });
    }
  };

  const resolve = async (id: string): Promise<void> => {
    const command = outbox.get(id);
    const { signal } = life;
    const answer =
      command &&
      (await persist(
        signal,
        () => api.command(command, signal),
        (given) => (given.ok ? given.status === 202 : isPassing(given)),
      ));
    if (!answer) return dispatch({ kind: 'unresolved', id });
    if (answer.ok) {
      const verdict = { kind: 'persisted', id, seq: answer.value.seq, duplicate: true } as const;
      return dispatch({ kind: 'resolved', verdict });
    }
    const { code, message } = answer.error;
    dispatch({ kind: 'resolved', verdict: { kind: 'rejected', id, code, message } });
  };

  return {
    start: (): void => {
      if (!life.signal.aborted) return;
      life = new AbortController();
      const owed = store.openChannelIds().filter((channelId) => unread.has(channelId));
      unread.clear();
      for (const channelId of owed) void loadNewest(channelId, life.signal);
      repairHoles();
      refresh(0);
    },
    stop: (): void => life.abort(),
    snapshot: (snapshotId: number, epoch: string, head: number): void =>
      void snapshot(snapshotId, epoch, head),
    /** The channel list as of at least `seq`; calls that come meanwhile are joined. */
    refresh,
    repairHoles,
    hasHoles: (): boolean => repairing.size > 0,
    resolve: (id: string): void => void resolve(id),
    loadNewest: (channelId: ChannelId): Promise<LoadResult> => loadNewest(channelId, life.signal),
    /** One page before the oldest held message. */
    loadOlder: async (channelId: ChannelId): Promise<LoadResult> => {
      const before = store.messages(channelId)[0]?.channelSeq;
      if (before === undefined || !store.hasMoreBefore(channelId)) return { ok: true };
      const answer = await api.messages(
        channelId,
        { before, limit: PAGE_DEFAULT_COUNT },
        point(),
        life.signal,
      );
      if (!answer.ok) return { ok: false, error: answer.error };
      store.mergeMessages(channelId, answer.value, before);
      news.changed();
      return { ok: true };
    },
    history: (channelId: ChannelId, query: HistoryQuery): Promise<ApiAnswer<MessagesResponse>> =>
      api.messages(channelId, query, point(), life.signal),
    search: ((query) => api.search(query, point(), life.signal)) satisfies Search,
    loadMembers: async (channelId: ChannelId): Promise<LoadResult> => {
      store.watchMembers(channelId);
      // As of what was heard before the watch began; from then on the store keeps what is heard.
      const { signal } = life;
      const answer = await allPages(signal, point(), (at) => api.members(channelId, at, signal));
      if (!answer) return { ok: true };
      if (!answer.ok) return { ok: false, error: answer.error };
      const { epoch, asOf, pages } = answer;
      store.mergeMembers(channelId, { epoch, asOf, members: pages.flatMap(({ members }) => members) });
      news.changed();
      return { ok: true };
    },
  };
};
