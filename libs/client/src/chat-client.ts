/**
 * The client of one user in one team, for browsers and Node 22: it connects, resumes, keeps what is not yet
 * persisted, and holds the team's channels and messages as far as they were asked for.
 *
 * Effects of the session core run in their order, and inputs that come while they run wait for their turn:
 * events are applied to the store before the cursor that covers them is written to storage.
 */

import type { CommandData, CommandName } from '@chat/contracts/commands';
import type { EventElement } from '@chat/contracts/events';
import type { Cursor, ServerFrame } from '@chat/contracts/frames';
import type { MessagesResponse, MessageView } from '@chat/contracts/http';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import { type ApiAnswer, type Fetch, type HistoryQuery, createApiClient } from './api-client.ts';
import { type Clock, systemClock } from './clock.ts';
import { createEmitter } from './emitter.ts';
import { type EnqueueRefusal, createOutbox } from './outbox.ts';
import { type Outgoing, createOutgoing } from './outgoing.ts';
import { createSaver } from './saver.ts';
import { type SessionCore, createSessionCore } from './session-core.ts';
import type { ConnectionState, Held, SessionEffect, SessionInput, Verdict } from './session-types.ts';
import { type GetToken, type OpenSocket, type SocketLike, createSocketShell } from './socket.ts';
import { type ClientStorage, createMemoryStorage, decodeState, encodeState } from './storage.ts';
import { type Channel, createStore } from './store.ts';
import { type LoadResult, type Search, createSync } from './sync.ts';
import { uuidV7 } from './uuid-v7.ts';

export type ChatClientOptions = {
  /** WebSocket bases (`ws://host:port`), tried in this order, round and round. */
  readonly gatewayUrls: readonly string[];
  readonly apiUrl: string;
  readonly teamId: TeamId;
  /** `renew`: the last token was refused as expired. */
  readonly getToken: GetToken;
  readonly device?: string;
  /** Where cursor and unpersisted commands survive a restart; memory when left out. */
  readonly storage?: ClientStorage;
  readonly random?: () => number;
  readonly clock?: Clock;
  readonly openSocket?: OpenSocket;
  readonly fetch?: Fetch;
};

export type ChatClientEvents = {
  readonly state: ConnectionState;
  /** Each event of the log that this session may see, once, in seq order. */
  readonly event: EventElement;
  /** A message that was not held before: live, replayed, or read from the api. */
  readonly message: MessageView;
  readonly verdict: Verdict;
  /** A gateway refused a command for the moment (a limit, an overload); it goes again by itself. */
  readonly held: Held;
  readonly gap: { readonly channelId: ChannelId; readonly from: number; readonly to: number };
  readonly repaired: {
    readonly channelId: ChannelId;
    readonly from: number;
    readonly to: number;
    readonly foundCount: number;
  };
  /** Events between the old cursor and `head` were not and will not be delivered as `event`; the store is read anew. */
  readonly snapshot: { readonly head: number; readonly reason: string };
  /** A session goes on after `fromSeq`: what came since, up to `head`, follows as `event`, then the live ones. */
  readonly resumed: { readonly fromSeq: number; readonly head: number };
  readonly typing: Extract<ServerFrame, { t: 'typing' }>;
  readonly presence: Extract<ServerFrame, { t: 'presence' }>;
  /** The gateway shuts down: this session moves to another in that time, by itself. */
  readonly draining: Extract<ServerFrame, { t: 'draining' }>;
  /** An error frame of the gateway. */
  readonly error: Extract<ServerFrame, { t: 'error' }>;
  /** Something that `channels`, `messages`, `outgoing`, `members` or `state` answer has changed. */
  readonly change: undefined;
  /** A fault on this side: a listener threw, or the storage failed. */
  readonly fault: { readonly where: 'listener' | 'storage'; readonly error: unknown };
};

export type SubmitResult =
  | { readonly ok: true; readonly id: string }
  | { readonly ok: false; readonly id: string; readonly refusal: EnqueueRefusal };

/** Commands a session takes; a team is created over HTTP, before there is a session. */
export type SessionCommandName = Exclude<CommandName, 'team.create'>;

export type ChatClient = {
  /** Loads what was stored, then connects. Resolves when connecting has begun. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly send: (channelId: ChannelId, text: string) => SubmitResult;
  readonly command: <N extends SessionCommandName>(name: N, data: CommandData[N]) => SubmitResult;
  readonly markRead: (channelId: ChannelId, upTo: number) => void;
  /** The outcome of a command given to `send` or `command` of this client. */
  readonly outcome: (id: string) => Promise<Verdict>;
  readonly state: () => ConnectionState;
  readonly cursor: () => Cursor | undefined;
  readonly userId: () => UserId | undefined;
  readonly on: <K extends keyof ChatClientEvents>(
    name: K,
    listener: (value: ChatClientEvents[K]) => void,
  ) => () => void;
  readonly channels: () => readonly Channel[];
  readonly channel: (channelId: ChannelId) => Channel | undefined;
  readonly messages: (channelId: ChannelId) => readonly MessageView[];
  readonly hasMoreBefore: (channelId: ChannelId) => boolean;
  /** Reads the newest page and keeps it fresh over snapshots until closed. */
  readonly openChannel: (channelId: ChannelId) => Promise<LoadResult>;
  readonly closeChannel: (channelId: ChannelId) => void;
  readonly loadOlder: (channelId: ChannelId) => Promise<LoadResult>;
  /** A page straight from the api; the store is not changed. */
  readonly history: (channelId: ChannelId, query: HistoryQuery) => Promise<ApiAnswer<MessagesResponse>>;
  readonly search: Search;
  readonly loadMembers: (channelId: ChannelId) => Promise<LoadResult>;
  readonly members: (channelId: ChannelId) => readonly { readonly userId: UserId; readonly role: string }[];
  /** Own messages of the channel that do not stand in `messages` yet, and refused ones. */
  readonly outgoing: (channelId: ChannelId) => readonly Outgoing[];
  readonly dismiss: (id: string) => void;
  /** Sends a refused message again, as a new one; undefined: there is no such refused message. */
  readonly sendAgain: (id: string) => SubmitResult | undefined;
  /** Count of commands without outcome. */
  readonly pendingCount: () => number;
  /** The network is back, or the page is seen again: do not sit out a wait. */
  readonly nudge: () => void;
};

const defaultOpenSocket: OpenSocket = (url, protocol) =>
  new WebSocket(url, protocol) as unknown as SocketLike;

/** `outcome` promises that may be open at once; the oldest is let go (it stays pending) beyond. */
const OUTCOME_WAITERS_MAX_COUNT = 10_000;

export const createChatClient = (options: ChatClientOptions): ChatClient => {
  const random = options.random ?? Math.random;
  const clock = options.clock ?? systemClock;
  const storage = options.storage ?? createMemoryStorage();
  const emitter = createEmitter<ChatClientEvents>((error) => {
    // A fault listener that throws has nowhere to report to.
    if (!isFaulting) reportFault('listener', error);
  });
  const store = createStore();
  const outbox = createOutbox(random);
  const outgoing = createOutgoing();
  const waiters = new Map<string, { promise: Promise<Verdict>; settle: (verdict: Verdict) => void }>();
  const inputs: SessionInput[] = [];
  let core: SessionCore | undefined;
  let starting: Promise<void> | undefined;
  let isRunning = false;
  let isFaulting = false;
  let hasChanged = false;
  let cleanCursor: Cursor | undefined;
  let cancelWake: (() => void) | undefined;

  const reportFault = (where: 'listener' | 'storage', error: unknown): void => {
    isFaulting = true;
    emitter.emit('fault', { where, error });
    isFaulting = false;
  };

  const saver = createSaver(
    storage,
    clock,
    () => {
      // While a hole is open the stored cursor stays before it: a restart then reads it all again.
      if (!sync.hasHoles()) cleanCursor = core?.cursor();
      const userId = core?.userId();
      return encodeState({
        teamId: options.teamId,
        ...(userId ? { userId } : {}),
        ...(cleanCursor ? { cursor: cleanCursor } : {}),
        commands: outbox.stored(),
      });
    },
    (error) => reportFault('storage', error),
  );

  const dispatch = (input: SessionInput): void => {
    inputs.push(input);
    if (isRunning || !core) return;
    isRunning = true;
    let next: SessionInput | undefined;
    while ((next = inputs.shift())) for (const effect of core.handle(next, clock.nowMs())) run(effect);
    isRunning = false;
    scheduleWake(core);
    if (hasChanged) {
      hasChanged = false;
      emitter.emit('change', undefined);
    }
  };

  const scheduleWake = (running: SessionCore): void => {
    cancelWake?.();
    const nowMs = clock.nowMs();
    const atMs = running.nextWakeMs(nowMs);
    cancelWake =
      atMs === undefined
        ? undefined
        : clock.after(Math.max(0, atMs - nowMs), () => dispatch({ kind: 'wake' }));
  };

  const changed = (): void => {
    if (isRunning) hasChanged = true;
    else emitter.emit('change', undefined);
  };

  const announce = (messages: readonly MessageView[]): void => {
    for (const message of messages) emitter.emit('message', message);
  };

  const sync = createSync({
    api: createApiClient({
      apiUrl: options.apiUrl,
      teamId: options.teamId,
      getToken: options.getToken,
      fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    }),
    store,
    outbox,
    clock,
    random,
    cursor: () => core?.cursor(),
    dispatch,
    news: {
      changed,
      messages: announce,
      gap: (channelId, { from, to }) => emitter.emit('gap', { channelId, from, to }),
      repaired: (channelId, { from, to }, foundCount) =>
        emitter.emit('repaired', { channelId, from, to, foundCount }),
    },
  });

  const socket = createSocketShell({
    teamId: options.teamId,
    getToken: options.getToken,
    openSocket: options.openSocket ?? defaultOpenSocket,
    clock,
    dispatch,
  });

  const apply = (events: readonly EventElement[]): void => {
    const news = store.apply(events);
    for (const event of events) emitter.emit('event', event);
    announce(news.messages);
    outgoing.applied(events.at(-1)?.seq ?? 0);
    if (news.refreshSeq !== undefined) sync.refresh(news.refreshSeq);
    sync.repairHoles();
    hasChanged = true;
  };

  const conclude = (verdict: Verdict): void => {
    outgoing.verdict(verdict);
    outgoing.applied(core?.cursor()?.seq ?? 0);
    waiters.get(verdict.id)?.settle(verdict);
    waiters.delete(verdict.id);
    emitter.emit('verdict', verdict);
    hasChanged = true;
  };

  const run = (effect: SessionEffect): void => {
    switch (effect.kind) {
      case 'open':
        return socket.open(effect.gatewayUrl, effect.renewToken);
      case 'close':
        return socket.close(effect.closeCode, effect.message);
      case 'send':
        return socket.send(effect.frame);
      case 'reauth':
        return socket.reauth();
      case 'apply':
        return apply(effect.events);
      case 'verdict':
        return conclude(effect.verdict);
      case 'held':
        return emitter.emit('held', effect.held);
      case 'resolve':
        return sync.resolve(effect.id);
      case 'welcome':
        if (effect.isNewEpoch) store.reset();
        return store.setMe(effect.userId);
      case 'resumed':
        return emitter.emit('resumed', { fromSeq: effect.fromSeq, head: effect.head });
      case 'snapshot':
        emitter.emit('snapshot', { head: effect.head, reason: effect.reason });
        return sync.snapshot(effect.snapshotId, effect.epoch, effect.head);
      case 'state':
        hasChanged = true;
        return emitter.emit('state', effect.state);
      case 'save':
        return saver.request(effect.urgent);
      case 'signal':
        if (effect.frame.t === 'typing') emitter.emit('typing', effect.frame);
        else if (effect.frame.t === 'presence') emitter.emit('presence', effect.frame);
        else if (effect.frame.t === 'draining') emitter.emit('draining', effect.frame);
        else emitter.emit('error', effect.frame);
    }
  };

  const load = async (): Promise<void> => {
    const stored = decodeState(await storage.load(), options.teamId);
    // Commands given before start come after those of the last run: those were wished first.
    const early = outbox.list();
    for (const { id } of early) outbox.settle(id);
    outgoing.clear();
    for (const command of stored?.commands ?? []) outbox.restore(command, true);
    for (const command of early) outbox.restore(command, false);
    for (const command of outbox.list()) outgoing.add(command);
    cleanCursor = stored?.cursor;
    core = createSessionCore({
      gatewayUrls: options.gatewayUrls,
      ...(options.device ? { device: options.device } : {}),
      random,
      outbox,
      resumeFrom: stored ?? {},
    });
  };

  const start = async (): Promise<void> => {
    sync.start();
    if (!core) await load();
    dispatch({ kind: 'start' });
  };

  const submit = (name: SessionCommandName, data: unknown): SubmitResult => {
    const nowMs = clock.nowMs();
    const command = { id: uuidV7(nowMs), name, data, submittedAtMs: nowMs };
    const refusal = outbox.add(command);
    if (refusal) return { ok: false, id: command.id, refusal };
    outgoing.add(command);
    if (core) saver.request(true);
    dispatch({ kind: 'wake' });
    changed();
    return { ok: true, id: command.id };
  };

  const outcome = (id: string): Promise<Verdict> => {
    let waiter = waiters.get(id);
    if (!waiter) {
      const { promise, resolve } = Promise.withResolvers<Verdict>();
      waiter = { promise, settle: resolve };
      waiters.set(id, waiter);
      const oldest = waiters.keys().next().value;
      if (waiters.size > OUTCOME_WAITERS_MAX_COUNT && oldest !== undefined) waiters.delete(oldest);
    }
    return waiter.promise;
  };

  return {
    start: () => (starting ??= start()),
    stop: async () => {
      await starting;
      starting = undefined;
      dispatch({ kind: 'stop' });
      sync.stop();
      await saver.flush();
    },
    send: (channelId, text) => submit('message.send', { channelId, text }),
    command: (name, data) => submit(name, data),
    markRead: (channelId, upTo) => {
      const channel = store.channel(channelId);
      if (channel?.role === undefined || upTo <= channel.readUpTo) return;
      store.markRead(channelId, upTo);
      outbox.supersedeReadMarks(`read:${channelId}`);
      submit('read.mark', { channelId, channelSeq: upTo });
    },
    outcome,
    state: () => core?.state() ?? { kind: 'idle' },
    cursor: () => core?.cursor(),
    userId: () => core?.userId(),
    on: emitter.on,
    channels: store.channels,
    channel: store.channel,
    messages: store.messages,
    hasMoreBefore: store.hasMoreBefore,
    openChannel: async (channelId) => {
      store.setOpen(channelId, true);
      // Before the first welcome there is no seq to read at: the first snapshot loads what is open.
      return core?.cursor() ? sync.loadNewest(channelId) : { ok: true };
    },
    closeChannel: (channelId) => store.setOpen(channelId, false),
    loadOlder: sync.loadOlder,
    history: sync.history,
    search: sync.search,
    loadMembers: sync.loadMembers,
    members: store.members,
    outgoing: outgoing.of,
    dismiss: (id) => {
      outgoing.dismiss(id);
      changed();
    },
    sendAgain: (id) => {
      const refused = outgoing.refused(id);
      if (!refused) return undefined;
      const result = submit('message.send', { channelId: refused.channelId, text: refused.text });
      if (result.ok) {
        outgoing.dismiss(id);
        changed();
      }
      return result;
    },
    pendingCount: outbox.size,
    nudge: () => dispatch({ kind: 'nudge' }),
  };
};
