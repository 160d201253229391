/**
 * One person who writes without pause over the client library, and keeps the evidence: every wish in the order it was
 * made, its verdict, every event the client gave out, and what the client's store shows at the end.
 */

import { createChatClient } from '@chat/client/chat-client';
import type { EventElement } from '@chat/contracts/events';
import type { ChannelId, CommandId, UserId } from '@chat/contracts/ids';
import { eventually } from '@chat/testkit/checking/eventually';
import type { Observer, Send, Verdict } from '@chat/testkit/checking/history';
import type { Delivery } from '@chat/testkit/checking/wire-session';
import type { World } from './world.ts';

export type Load = {
  isLive(): boolean;
  /** The greatest seq this client has seen. */
  seen(): number;
  has(id: string): boolean;
  verdict(id: string): Verdict | undefined;
  say(channelId: ChannelId, text: string): CommandId;
  /** Wishes that a full outbox did not take. */
  unqueuedCount(): number;
  /** No more wishes; waits until all have their verdict. The client goes on listening. */
  stop(timeoutMs?: number): Promise<readonly Send[]>;
  observer(): Observer;
  /** Channels whose newest messages in the client's store (it is bounded) are not those its events gave, in their order. */
  storeDiffersFromEvents(): readonly string[];
  /** Ends the client. */
  abandon(): Promise<void>;
};

export type LoadOptions = {
  readonly world: Pick<World, 'gatewayUrls' | 'apiUrl' | 'teamId' | 'token'>;
  readonly user: UserId;
  readonly firstGateway: number;
  /** Written to in turn. */
  readonly channelIds: readonly ChannelId[];
  readonly everyMs: number;
};

export const startLoad = async (options: LoadOptions): Promise<Load> => {
  const { world, user } = options;
  const { gatewayUrls } = world;
  const client = createChatClient({
    gatewayUrls: [...gatewayUrls.slice(options.firstGateway), ...gatewayUrls.slice(0, options.firstGateway)],
    apiUrl: world.apiUrl,
    teamId: world.teamId,
    getToken: () => world.token(user),
    device: `load-${user}`,
  });
  const wishes: Omit<Send, 'verdict'>[] = [];
  const verdicts = new Map<string, Verdict>();
  const deliveries: Delivery[] = [];
  const messages = new Map<ChannelId, EventElement[]>();
  const seenIds = new Set<string>();
  let afterSeq: number | undefined;
  const snapshots: string[] = [];
  client.on('snapshot', ({ head, reason }) => {
    snapshots.push(reason);
    afterSeq ??= head;
  });
  client.on('verdict', (verdict) => {
    verdicts.set(
      verdict.id,
      verdict.kind === 'persisted'
        ? { kind: 'persisted', seq: verdict.seq, duplicate: verdict.duplicate }
        : { kind: 'rejected', code: verdict.code, seq: verdict.seq },
    );
  });
  client.on('event', (event) => {
    deliveries.push({ seq: event.seq, content: JSON.stringify(event) });
    if (event.type !== 'message.sent' || !event.channelId) return;
    seenIds.add(event.commandId);
    const list = messages.get(event.channelId) ?? [];
    messages.set(event.channelId, list);
    list.push(event);
  });
  await client.start();
  await eventually(`${user} is live`, () => client.state().kind === 'live');

  const wish = (channelId: ChannelId, text: string): CommandId | undefined => {
    const result = client.send(channelId, text);
    if (!result.ok) return undefined;
    const id = result.id as CommandId;
    wishes.push({ sender: user, order: wishes.length, id, channelId, text });
    return id;
  };
  const say = (channelId: ChannelId, text: string): CommandId => {
    const id = wish(channelId, text);
    if (!id) throw new Error(`the outbox of ${user} is full`);
    return id;
  };

  // Wishes fall due by the clock, not by the timer: a late tick makes up for what it missed.
  const startedAtMs = performance.now();
  let saidCount = 0;
  let unqueuedCount = 0;
  const timer = setInterval(() => {
    const dueCount = Math.floor((performance.now() - startedAtMs) / options.everyMs);
    for (; saidCount < dueCount; saidCount += 1) {
      const channelId = options.channelIds[saidCount % options.channelIds.length];
      const text = `${user} ${saidCount} ${'x'.repeat(saidCount % 200)}`;
      // A full outbox says so and takes nothing: that wish was never made. The rate that is asserted shows if it was rare.
      if (channelId && !wish(channelId, text)) unqueuedCount += 1;
    }
  }, options.everyMs);

  return {
    isLive: () => client.state().kind === 'live',
    seen: () => client.cursor()?.seq ?? 0,
    has: (id) => seenIds.has(id),
    verdict: (id) => verdicts.get(id),
    say,
    unqueuedCount: () => unqueuedCount,
    stop: async (timeoutMs = 30_000) => {
      clearInterval(timer);
      await eventually(
        `all ${wishes.length} of ${user} have their verdict`,
        () => wishes.every(({ id }) => verdicts.has(id)),
        { timeoutMs },
      );
      return wishes.map((wish) => ({ ...wish, verdict: verdicts.get(wish.id) }));
    },
    observer: () => {
      // A second snapshot would mean events that were not given out; this observer then cannot vouch for them.
      if (snapshots.length !== 1) throw new Error(`${user} took snapshots: ${snapshots.join(', ')}`);
      return {
        name: `client of ${user}`,
        userId: user,
        afterSeq: afterSeq ?? 0,
        upToSeq: client.cursor()?.seq ?? 0,
        deliveries,
      };
    },
    storeDiffersFromEvents: () =>
      [...messages].flatMap(([channelId, events]) => {
        const held = client.messages(channelId);
        const newest = events.slice(-held.length);
        const differs = held.length === 0 || held.some(({ id }, i) => id !== newest[i]?.commandId);
        return differs ? [`${user} in ${channelId}: ${held.length} held, ${events.length} given`] : [];
      }),
    abandon: async () => {
      clearInterval(timer);
      await client.stop();
    },
  };
};
