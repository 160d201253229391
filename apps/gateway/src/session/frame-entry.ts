/**
 * What a client's frame leads to, by the session's state. Every frame gets a clear answer: what it asked for, or an
 * `error` with a code. Repeated offences end the session.
 */

import { closeCodes } from '@chat/contracts/protocol';
import type { ErrorCode } from '@chat/contracts/errors';
import type { ClientFrame } from '@chat/contracts/frames';
import { FRAME_MAX_BYTES, HELLO_MAX_BYTES } from '@chat/contracts/limits';
import type { TokenVerifier } from '@chat/platform/auth/tokens';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { CommandEntry } from '../command/command-entry.ts';
import type { Ephemeral } from '../ephemeral/ephemeral.ts';
import { guardFrame } from './frame-guard.ts';
import type { GatewayStats } from '../metrics/gateway-stats.ts';
import type { Hello } from './hello.ts';
import { encodeFrame, errorFrame } from './server-frames.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** Offences of a session before it is closed as not speaking the protocol. */
const OFFENCES_MAX_COUNT = 20;
/** Frames kept that came between hello and welcome. */
const EARLY_MAX_COUNT = 32;

export type FrameEntryDeps = {
  readonly sessions: Sessions;
  readonly hello: Hello;
  readonly commands: CommandEntry;
  readonly ephemeral: Ephemeral;
  readonly tokens: TokenVerifier;
  readonly stats: GatewayStats;
  readonly log: Logger;
};

export type FrameEntry = {
  /** `bytes` are valid only during the call. */
  onMessage(session: Session, bytes: Buffer, isBinary: boolean): void;
  /** Takes the frames that came before the welcome. */
  takeEarly(session: Session): void;
};

export const createFrameEntry = (deps: FrameEntryDeps): FrameEntry => {
  const { sessions, stats } = deps;

  const offend = (session: Session, code: ErrorCode, message?: string): void => {
    stats.refusals.add(code);
    sessions.send(session, errorFrame(code, message === undefined ? {} : { message }));
    session.offenceCount += 1;
    if (session.offenceCount >= OFFENCES_MAX_COUNT)
      sessions.close(session, closeCodes.PROTOCOL_ERROR, 'too many bad frames');
  };

  const onMessage = (session: Session, bytes: Buffer, isBinary: boolean): void => {
    if (!session.isOpen) return;
    const guarded = guardFrame(bytes, isBinary, session.isJoined ? FRAME_MAX_BYTES : HELLO_MAX_BYTES);
    if (!guarded.ok) {
      stats.frames.add('invalid');
      return offend(session, guarded.code, guarded.message);
    }
    const { frame } = guarded;
    stats.frames.add(frame.t);
    if (frame.t === 'ping') {
      sessions.send(
        session,
        encodeFrame(frame.id === undefined ? { t: 'pong' } : { t: 'pong', id: frame.id }),
      );
      return;
    }
    if (session.state === 'connecting') {
      if (frame.t === 'hello') void deps.hello(session, frame);
      else offend(session, 'HELLO_REQUIRED');
      return;
    }
    if (frame.t === 'hello') return offend(session, 'HELLO_REPEATED');
    if (session.isJoined) take(session, frame);
    else if ((session.early ??= []).length < EARLY_MAX_COUNT) session.early.push(frame);
    else offend(session, 'OVERLOADED');
  };

  const take = (session: Session, frame: ClientFrame): void => {
    switch (frame.t) {
      case 'cmd':
        return deps.commands.take(session, frame);
      case 'ack':
        session.ackedSeq = Math.max(session.ackedSeq, frame.seq);
        return;
      case 'reauth':
        void reauth(session, frame.token);
        return;
      case 'typing':
        return deps.ephemeral.typing(session, frame.channelId);
      case 'presence':
        return deps.ephemeral.presence(session, frame.state);
      case 'hello':
      case 'ping':
    }
  };

  const reauth = async (session: Session, token: string): Promise<void> => {
    try {
      const result = await deps.tokens.verify(token);
      if (!session.isOpen) return;
      if (!result.ok) return offend(session, result.code, result.message);
      if (result.userId !== session.userId) return offend(session, 'AUTH_USER_CHANGED');
      session.tokenExpiresAtMs = result.expiresAtMs;
    } catch (error) {
      deps.log.warn({ sessionId: session.id, reason: reasonOf(error) }, 'reauth could not be checked');
      sessions.send(session, errorFrame('UNAVAILABLE', { retryAfterMs: 1_000 }));
    }
  };

  return {
    onMessage,
    takeEarly: (session) => {
      const { early = [] } = session;
      session.early = undefined;
      for (const frame of early) if (session.isJoined) take(session, frame);
    },
  };
};
