/**
 * The only file that knows uWebSockets.js. What the rest relies on, measured on 20.51 (facts/dependencies.md):
 * - `publish` copies the bytes, so a scratch buffer may be reused; a socket's frames leave in publish order across topics.
 * - Who is subscribed is decided at `publish`: a later (un)subscribe changes nothing for frames already published.
 * - A frame over `maxBackpressureBytes` is dropped and reported by `onDropped`; what was published behind it in the
 *   same batch is dropped *unreported*. `onDropped` may run inside uWS's own iteration: do not touch topics there.
 * - A batch goes at the end of the loop's turn, before a direct send, before a publish of 16 KiB or more, and when it has 32
 *   frames for a socket. That direct, large or 33rd frame may get through *behind* one that was dropped.
 * - `close` runs `onClose` synchronously; afterwards every call on the socket throws.
 */

import { createRequire } from 'node:module';
import uWS, { type HttpResponse, type ListenSocket, type WebSocket } from 'uWebSockets.js';
import { type ErrorCode, errorBody, errorCatalogue } from '@chat/contracts/errors';
import { PROTOCOL } from '@chat/contracts/protocol';
import { Fault } from '@chat/platform/faults';

export type SendResult = 'sent' | 'buffered' | 'dropped';

/** One open connection. Every method throws after `onClose`. */
export type Socket = {
  send(frame: string | Uint8Array): SendResult;
  /** Runs `fn` with all its sends gathered into one write. */
  cork(fn: () => void): void;
  bufferedBytes(): number;
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  close(code: number, reason: string): void;
  /** Closes without a close frame and sends nothing more. */
  terminate(): void;
};

/** What is known of a connection before its first frame. */
export type UpgradeInfo = { readonly teamId: string; readonly bearer: string | undefined };

/**
 * Receives the life of all connections, each known by its session. `bytes` are valid only during the call. One handler for
 * all, not one each: of an idle socket its closures were a quarter of the memory.
 */
export type SocketHandler<S> = {
  onOpen(socket: Socket, info: UpgradeInfo): S;
  onMessage(session: S, bytes: Buffer, isBinary: boolean): void;
  onDropped(session: S, bytes: Buffer): void;
  onDrain(session: S): void;
  /** `isProtocolFault`: uWS ended it (with 1006) because the client broke the WebSocket protocol. */
  onClose(session: S, code: number, isProtocolFault: boolean): void;
};

export type UwsServerDeps<S> = {
  readonly host: string;
  readonly port: number;
  /** Frames over this are cut off by uWS itself (1009); smaller ones get our coded answer. */
  readonly maxPayloadBytes: number;
  readonly maxBackpressureBytes: number;
  readonly idleTimeoutSeconds: number;
  /** Answers the refusal of an upgrade, or undefined to admit it. */
  readonly refuse: (teamId: string, origin: string) => ErrorCode | undefined;
  readonly handler: SocketHandler<S>;
};

export type UwsServer = {
  /** Listens; throws Fault WS_PORT_TAKEN. Answers the port. */
  start(): Promise<number>;
  /** Accepts no new connection; open ones stay. */
  stopListening(): void;
  publish(topic: string, frame: Uint8Array): void;
  /** Closes the listener and every connection at once. */
  stop(): void;
};

/** `info` until the socket is open, `session` from then on. */
type Held<S> = { info: UpgradeInfo | undefined; session: S | undefined };

/** How uWS (WebSocketProtocol.h) tells its own `close` handler why it ended a connection; the client only sees 1006. */
const PROTOCOL_FAULTS: ReadonlySet<string> = new Set([
  'Received invalid WebSocket frame',
  'Received too big message',
  'Received too big message, or other inflation error',
  'Received invalid UTF-8',
]);

const KNOWN_VERSIONS = /^20\.[56]\d\./;

/** Throws when a build of uWebSockets.js is loaded that this file was not checked against. */
export const checkUwsVersion = (): string => {
  const { version } = createRequire(import.meta.url)('uWebSockets.js/package.json') as { version: string };
  if (KNOWN_VERSIONS.test(version)) return version;
  throw new Fault('UWS_VERSION_UNKNOWN', `uWebSockets.js ${version} is loaded; known are 20.50 to 20.69`);
};

const statusTexts: Readonly<Record<number, string>> = {
  400: '400 Bad Request',
  401: '401 Unauthorized',
  403: '403 Forbidden',
  404: '404 Not Found',
  405: '405 Method Not Allowed',
  503: '503 Service Unavailable',
};

const answerError = (res: HttpResponse, code: ErrorCode): void => {
  const body = JSON.stringify(errorBody(code));
  const { status } = errorCatalogue[code];
  res.cork(() => {
    res.writeStatus(statusTexts[status] ?? String(status));
    res.writeHeader('Content-Type', 'application/json');
    if (status === 503) res.writeHeader('Retry-After', '1');
    res.end(body, true);
  });
};

class UwsSocket implements Socket {
  readonly #ws: WebSocket<unknown>;

  constructor(ws: WebSocket<unknown>) {
    this.#ws = ws;
  }

  send(frame: string | Uint8Array): SendResult {
    const result = this.#ws.send(frame, false, false);
    return result === 1 ? 'sent' : result === 0 ? 'buffered' : 'dropped';
  }
  cork(fn: () => void): void {
    this.#ws.cork(fn);
  }
  bufferedBytes(): number {
    return this.#ws.getBufferedAmount();
  }
  subscribe(topic: string): void {
    this.#ws.subscribe(topic);
  }
  unsubscribe(topic: string): void {
    this.#ws.unsubscribe(topic);
  }
  close(code: number, reason: string): void {
    this.#ws.end(code, reason);
  }
  terminate(): void {
    this.#ws.close();
  }
}

const offersProtocol = (header: string): boolean =>
  header.split(',').some((offer) => offer.trim() === PROTOCOL);

const bearerOf = (header: string): string | undefined => /^Bearer +(\S+)$/i.exec(header)?.[1];

export const createUwsServer = <S>(deps: UwsServerDeps<S>): UwsServer => {
  checkUwsVersion();
  const { handler } = deps;
  const app = uWS.App();
  let listening: ListenSocket | undefined;

  app.ws<Held<S>>('/ws/:teamId', {
    maxPayloadLength: deps.maxPayloadBytes,
    maxBackpressure: deps.maxBackpressureBytes,
    closeOnBackpressureLimit: false,
    idleTimeout: deps.idleTimeoutSeconds,
    sendPingsAutomatically: true,
    compression: uWS.DISABLED,
    upgrade: (res, req, context) => {
      const teamId = req.getParameter(0);
      const refusal = deps.refuse(teamId, req.getHeader('origin'));
      if (refusal) return answerError(res, refusal);
      const held: Held<S> = {
        info: { teamId, bearer: bearerOf(req.getHeader('authorization')) },
        session: undefined,
      };
      const protocol = offersProtocol(req.getHeader('sec-websocket-protocol')) ? PROTOCOL : '';
      const key = req.getHeader('sec-websocket-key');
      const extensions = req.getHeader('sec-websocket-extensions');
      res.cork(() => res.upgrade(held, key, protocol, extensions, context));
    },
    open: (ws) => {
      const held = ws.getUserData();
      const { info } = held;
      held.info = undefined;
      if (info) held.session = handler.onOpen(new UwsSocket(ws), info);
    },
    message: (ws, message, isBinary) => {
      const { session } = ws.getUserData();
      if (session) handler.onMessage(session, Buffer.from(message), isBinary);
    },
    dropped: (ws, message) => {
      const { session } = ws.getUserData();
      if (session) handler.onDropped(session, Buffer.from(message));
    },
    drain: (ws) => {
      const { session } = ws.getUserData();
      if (session) handler.onDrain(session);
    },
    close: (ws, code, message) => {
      const isProtocolFault = code === 1006 && PROTOCOL_FAULTS.has(Buffer.from(message).toString('latin1'));
      const { session } = ws.getUserData();
      if (session) handler.onClose(session, code, isProtocolFault);
    },
  });
  app.any('/*', (res) => answerError(res, 'NOT_FOUND'));

  return {
    start: () =>
      new Promise<number>((resolve, reject) => {
        app.listen(deps.host, deps.port, uWS.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
          if (!socket) {
            const hint = `port ${deps.port} on ${deps.host} is taken or not allowed; set WS_PORT to a free one`;
            reject(new Fault('WS_PORT_TAKEN', hint));
            return;
          }
          listening = socket;
          resolve(uWS.us_socket_local_port(socket));
        });
      }),
    stopListening: () => {
      if (listening) uWS.us_listen_socket_close(listening);
      listening = undefined;
    },
    publish: (topic, frame) => {
      app.publish(topic, frame, false, false);
    },
    stop: () => {
      listening = undefined;
      app.close();
    },
  };
};
