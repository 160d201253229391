/**
 * `typing` and `presence`: over core NATS to the gateways, never stored, never replayed, dropped when anything is busy.
 * One frame per user, channel and second goes out (COALESCE_MS); what comes faster is dropped. Presence goes to the
 * team. Subjects: `typing.<p>.<team>.<channelId>` and `presence.<p>.<team>`.
 */

import type { Subscription } from '@nats-io/nats-core';
import { type TeamId, type UserId, parseChannelId, parseTeamId, partitionOf } from '@chat/contracts/ids';
import { channelScope, evtSubject, teamScope } from '@chat/contracts/subjects';
import type { NatsHandle } from '@chat/platform/nats/connect';
import type { Partition } from '../feed/partition.ts';
import { encodeFrame, errorFrame } from '../session/server-frames.ts';
import type { Session } from '../session/session.ts';

const COALESCE_MS = 1_000;
/** Users and channels remembered for coalescing; beyond it the memory starts anew. */
const REMEMBERED_MAX_COUNT = 50_000;
/** Frames given to fan-out a second; more are dropped. */
const FRAMES_PER_SECOND_COUNT = 5_000;

export type EphemeralDeps = {
  readonly nats: NatsHandle;
  readonly partitions: readonly Partition[];
  readonly publish: (topic: string, frame: Uint8Array) => void;
  /** Asks for a `flush` at the end of the turn. */
  readonly requestFlush: () => void;
  readonly send: (session: Session, frame: string) => void;
  readonly nowMs: () => number;
};

export type Ephemeral = {
  start(): void;
  stop(): void;
  /**
   * Publishes what came. To be called behind the events of the turn: of a batch uWS reports only the first frame that it
   * drops, so that one of ours must never stand before an event.
   */
  flush(): void;
  typing(session: Session, channelId: string): void;
  presence(session: Session, state: 'active' | 'away'): void;
};

type Signal =
  | { readonly userId: UserId; readonly channelId: string }
  | { readonly userId: UserId; readonly state: 'active' | 'away' };

export const createEphemeral = (deps: EphemeralDeps): Ephemeral => {
  const { nats, nowMs } = deps;
  let sentAtMs = new Map<string, number>();
  let windowAtMs = 0;
  let windowCount = 0;
  const subscriptions: Subscription[] = [];
  /** Bounded by FRAMES_PER_SECOND_COUNT. */
  let due: { readonly subject: string; readonly data: Uint8Array }[] = [];

  const mayGo = (key: string): boolean => {
    const now = nowMs();
    if (now - (sentAtMs.get(key) ?? -COALESCE_MS) < COALESCE_MS) return false;
    if (sentAtMs.size >= REMEMBERED_MAX_COUNT) sentAtMs = new Map();
    sentAtMs.set(key, now);
    return true;
  };

  const isWithinRate = (): boolean => {
    const now = nowMs();
    if (now - windowAtMs >= 1_000) {
      windowAtMs = now;
      windowCount = 0;
    }
    windowCount += 1;
    return windowCount <= FRAMES_PER_SECOND_COUNT;
  };

  const send = (subject: string, signal: Signal): void => {
    if (nats.status().ok) nats.nc.publish(subject, JSON.stringify(signal));
  };

  const topicOf = (teamId: TeamId, channelId: string | undefined): string | undefined => {
    if (channelId === undefined) return evtSubject(teamId, teamScope);
    const id = parseChannelId(channelId);
    return id && evtSubject(teamId, channelScope(id));
  };

  const onSignal = (subject: string, data: Uint8Array): void => {
    const [kind, , team, channel] = subject.split('.');
    const teamId = parseTeamId(team);
    if (!teamId) return;
    const topic = topicOf(teamId, kind === 'typing' ? channel : undefined);
    const scope = topic && deps.partitions[partitionOf(teamId)]?.tail.findScope(topic);
    if (!scope || scope.subscriberCount === 0) return;
    const signal = JSON.parse(Buffer.from(data).toString()) as Signal;
    const frame =
      'channelId' in signal
        ? encodeFrame({ t: 'typing', channelId: signal.channelId, userId: signal.userId })
        : encodeFrame({ t: 'presence', userId: signal.userId, state: signal.state });
    deps.publish(scope.subject, Buffer.from(frame));
  };

  return {
    start: () => {
      for (const subject of ['typing.>', 'presence.>'])
        subscriptions.push(
          nats.nc.subscribe(subject, {
            callback: (error, msg) => {
              if (error || !isWithinRate()) return;
              // Not in the middle of the read loop, and never with an exception in there.
              due.push({ subject: msg.subject, data: msg.data });
              deps.requestFlush();
            },
          }),
        );
    },
    stop: () => {
      for (const subscription of subscriptions.splice(0)) subscription.unsubscribe();
    },
    flush: () => {
      if (due.length === 0) return;
      const signals = due;
      due = [];
      for (const { subject, data } of signals) onSignal(subject, data);
    },
    typing: (session, rawChannelId) => {
      const channelId = parseChannelId(rawChannelId);
      if (!channelId || !session.channels.has(channelId)) {
        deps.send(session, errorFrame('CHANNEL_NOT_FOUND'));
        return;
      }
      const { teamId, userId } = session;
      if (!mayGo(`${teamId}.${channelId}.${userId}`)) return;
      send(`typing.${partitionOf(teamId)}.${teamId}.${channelId}`, { userId, channelId });
    },
    presence: (session, state) => {
      const { teamId, userId } = session;
      if (mayGo(`${teamId}.${userId}.${state}`))
        send(`presence.${partitionOf(teamId)}.${teamId}`, { userId, state });
    },
  };
};
