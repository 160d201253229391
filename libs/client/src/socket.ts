/**
 * One WebSocket at a time. `open` gets a token, connects and reports `opened`, `frame`s and one `closed`;
 * what an abandoned socket still says is not heard.
 */

import type { ClientFrame, ServerFrame } from '@chat/contracts/frames';
import type { TeamId } from '@chat/contracts/ids';
import { PROTOCOL } from '@chat/contracts/protocol';
import type { Clock } from './clock.ts';
import type { SessionInput } from './session-types.ts';
import { tokenLeftMs } from './token-left.ts';

/** The part of the standard WebSocket that is used. */
export type SocketLike = {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: never) => void): void;
};
export type OpenSocket = (url: string, protocol: string) => SocketLike;
export type GetToken = (options: { readonly renew: boolean }) => Promise<string>;

type Deps = {
  readonly teamId: TeamId;
  readonly getToken: GetToken;
  readonly openSocket: OpenSocket;
  readonly clock: Clock;
  readonly dispatch: (input: SessionInput) => void;
};

const parseFrame = (data: unknown): ServerFrame | undefined => {
  if (typeof data !== 'string') return undefined;
  try {
    const value = JSON.parse(data) as ServerFrame | null;
    return typeof value === 'object' && value !== null && typeof value.t === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
};

const CLOSED_ABNORMALLY = 1006;

export const createSocketShell = ({ teamId, getToken, openSocket, clock, dispatch }: Deps) => {
  let generation = 0;
  let socket: SocketLike | undefined;
  let token: string | undefined;

  const attach = (opened: SocketLike, mine: number): void => {
    const isCurrent = (): boolean => mine === generation;
    const closed = (closeCode: number, message: string): void => {
      if (!isCurrent()) return;
      generation += 1;
      socket = undefined;
      dispatch({ kind: 'closed', closeCode, message });
    };
    opened.addEventListener('open', () => {
      if (!isCurrent()) return;
      const leftMs = token === undefined ? undefined : tokenLeftMs(token, clock.nowMs());
      dispatch({ kind: 'opened', tokenLeftMs: leftMs });
    });
    opened.addEventListener('message', (event: { data: unknown }) => {
      if (!isCurrent()) return;
      const frame = parseFrame(event.data);
      if (frame) dispatch({ kind: 'frame', frame });
    });
    opened.addEventListener('close', (event: { code: number; reason: string }) =>
      closed(event.code, event.reason),
    );
    // Some runtimes report a failed connection by `error` alone; where `close` follows, it comes first.
    opened.addEventListener('error', () => {
      clock.after(0, () => closed(CLOSED_ABNORMALLY, 'connection failed'));
    });
  };

  const abandon = (closeCode: number, message: string): void => {
    generation += 1;
    const old = socket;
    socket = undefined;
    try {
      old?.close(closeCode, message);
    } catch {
      // It was not open yet or is gone: nothing to close.
    }
  };

  const open = async (gatewayUrl: string, renew: boolean): Promise<void> => {
    abandon(1000, 'replaced');
    const mine = generation;
    try {
      const fetched = await getToken({ renew });
      if (mine !== generation) return;
      token = fetched;
      socket = openSocket(`${gatewayUrl}/ws/${teamId}`, PROTOCOL);
      attach(socket, mine);
    } catch {
      if (mine !== generation) return;
      generation += 1;
      dispatch({ kind: 'closed', closeCode: CLOSED_ABNORMALLY, message: 'no token or no connection' });
    }
  };

  const reauth = async (): Promise<void> => {
    const mine = generation;
    try {
      const fetched = await getToken({ renew: true });
      if (mine !== generation) return;
      token = fetched;
      socket?.send(JSON.stringify({ t: 'reauth', token } satisfies ClientFrame));
      dispatch({ kind: 'reauth_sent', tokenLeftMs: tokenLeftMs(token, clock.nowMs()) });
    } catch {
      // A session that ended meanwhile has got its token by itself, or waits to.
      if (mine === generation) dispatch({ kind: 'reauth_failed' });
    }
  };

  return {
    open: (gatewayUrl: string, renew: boolean): void => void open(gatewayUrl, renew),
    close: abandon,
    /** Gets a new token and sends it, if the socket is still the same one then. */
    reauth: (): void => void reauth(),
    send: (frame: ClientFrame): void => {
      const full = frame.t === 'hello' && token !== undefined ? { ...frame, token } : frame;
      socket?.send(JSON.stringify(full));
    },
  };
};
