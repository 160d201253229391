/**
 * A `cmd` frame on its way in: shape → membership → limits → queue. Every refusal here is a `rejected` frame without
 * `seq`: nothing was stored.
 *
 * Membership here is the gateway's view, which may lag behind what a client learned elsewhere by some milliseconds; the
 * writer's is the truth. So a wish for a channel not known here still goes to the writer while the session has a wish of
 * its own for a channel in flight, or a token left (UNKNOWN_CHANNEL_COUNT, one more a second): a true member is never
 * refused for our lag, and a guesser costs the log almost nothing.
 */

import { type CommandName, type CommandWish, encodeCommand, parseCommand } from '@chat/contracts/commands';
import type { ErrorCode } from '@chat/contracts/errors';
import { type ChannelId, parseCommandId } from '@chat/contracts/ids';
import { cmdSubject } from '@chat/contracts/subjects';
import { commandHash } from '@chat/platform/command-hash';
import type { Tracer } from '@chat/platform/tracing';
import { commandKey } from '../feed/event-peek.ts';
import type { LimitViolators } from '../limits/limit-violators.ts';
import type { MessageLimit } from '@chat/platform/limits/message-limit';
import type { GatewayStats } from '../metrics/gateway-stats.ts';
import { rejectedFrame } from '../session/server-frames.ts';
import type { Session } from '../session/session.ts';
import type { CommandQueue } from './command-queue.ts';
import type { Waiter } from './waiter.ts';

const UNKNOWN_CHANNEL_COUNT = 5;
const UNKNOWN_CHANNEL_EVERY_MS = 1_000;
const OVERLOADED_RETRY_AFTER_MS = 1_000;
const IN_FLIGHT_RETRY_AFTER_MS = 500;

export type CommandEntryDeps = {
  readonly queue: CommandQueue;
  readonly limit: MessageLimit;
  readonly violators: LimitViolators;
  readonly stats: GatewayStats;
  readonly inFlightMaxCount: number;
  readonly sendSoon: (session: Session, frame: string) => void;
  readonly nowMs: () => number;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export type CommandFrame = { readonly id: string; readonly name: string; readonly data: unknown };
export type CommandEntry = { take(session: Session, frame: CommandFrame): void };

type Refusal = { readonly code: ErrorCode; readonly message?: string; readonly retryAfterMs?: number };

/** The channel that the actor must be in, if any. */
const neededChannel = (wish: CommandWish): ChannelId | undefined => {
  switch (wish.name) {
    case 'message.send':
    case 'read.mark':
    case 'channel.leave':
      return wish.data.channelId;
    case 'member.add':
    case 'member.remove':
      // Without a channel: the team. A team's admin may remove from a channel that he is not in.
      return wish.name === 'member.add' ? wish.data.channelId : undefined;
    default:
      return undefined;
  }
};

const makesChannel = (name: CommandName): boolean => name === 'channel.create' || name === 'channel.join';

const hasChannelInFlight = (session: Session): boolean => {
  for (const waiter of session.queue) if (makesChannel(waiter.name)) return true;
  for (const waiter of session.unresolved)
    if (waiter.state !== 'done' && makesChannel(waiter.name)) return true;
  return false;
};

const takeUnknownChannelToken = (session: Session, nowMs: number): boolean => {
  const refill = Math.floor((nowMs - session.unknownChannelAtMs) / UNKNOWN_CHANNEL_EVERY_MS);
  if (refill > 0) {
    session.unknownChannelTokens = Math.min(UNKNOWN_CHANNEL_COUNT, session.unknownChannelTokens + refill);
    session.unknownChannelAtMs = nowMs;
  }
  if (session.unknownChannelTokens < 1) return false;
  session.unknownChannelTokens -= 1;
  return true;
};

export const createCommandEntry = (deps: CommandEntryDeps): CommandEntry => {
  const { queue, limit, violators, stats, sendSoon, nowMs, tracer } = deps;

  const membershipFault = (session: Session, wish: CommandWish): Refusal | undefined => {
    const channelId = neededChannel(wish);
    if (!channelId || session.channels.has(channelId)) return undefined;
    if (hasChannelInFlight(session) || takeUnknownChannelToken(session, nowMs())) return undefined;
    return { code: wish.name === 'message.send' ? 'MSG_CHANNEL_NOT_FOUND' : 'CHANNEL_NOT_FOUND' };
  };

  const limitFault = (session: Session, wish: CommandWish): Refusal | undefined => {
    if (session.pendingCount >= deps.inFlightMaxCount) {
      violators.refused(session.userId, 'in_flight', nowMs());
      return { code: 'IN_FLIGHT_EXCEEDED', retryAfterMs: IN_FLIGHT_RETRY_AFTER_MS };
    }
    if (wish.name !== 'message.send') return undefined;
    const now = nowMs();
    const waitMs = limit.take(session.userId, now);
    if (waitMs === 0) return undefined;
    const { sustained } = limit.status(session.userId, now);
    const name = sustained.remainingCount < 1 ? 'messages_sustained' : 'messages_burst';
    violators.refused(session.userId, name, now);
    return { code: 'RATE_LIMITED', retryAfterMs: waitMs };
  };

  const take = (session: Session, frame: CommandFrame): void => {
    const refuse = ({ code, message, retryAfterMs }: Refusal): void => {
      stats.refusals.add(code);
      sendSoon(
        session,
        rejectedFrame(frame.id, code, {
          ...(message === undefined ? {} : { message }),
          ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        }),
      );
    };
    const id = parseCommandId(frame.id);
    if (!id) return refuse({ code: 'COMMAND_ID_INVALID' });
    const parsed = parseCommand(frame.name, frame.data);
    if (!parsed.ok) return refuse(parsed);
    const { wish, dataJson } = parsed;
    const fault = membershipFault(session, wish) ?? limitFault(session, wish);
    if (fault) {
      stats.commands.refused.add(wish.name);
      return refuse(fault);
    }
    const { userId, teamId } = session;
    const hash = commandHash(teamId, wish.name, dataJson);
    const waiter: Waiter = {
      session,
      id,
      name: wish.name,
      hash,
      key: commandKey(id, hash, userId),
      subject: cmdSubject(teamId, wish.name),
      payload: Buffer.from(encodeCommand(id, userId, hash, wish.name, nowMs(), dataJson)),
      state: 'queued',
      takenAtMs: performance.now(),
      attemptCount: 0,
      firstTriedAtMs: 0,
      storedAtMs: 0,
      storedSeq: 0,
      isRepeat: false,
      next: undefined,
      trace: tracer === undefined ? undefined : tracer.root('gateway.command', { 'chat.command': wish.name }),
    };
    if (queue.add(waiter)) return;
    stats.commands.refused.add(wish.name);
    refuse({ code: 'OVERLOADED', retryAfterMs: OVERLOADED_RETRY_AFTER_MS });
  };

  return { take };
};
