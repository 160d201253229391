/**
 * One member's WebSocket on a raw TCP socket. States: connecting → open (hello sent) → live (welcome seen) → closed.
 *
 * Client frames are masked with the key 0, which RFC 6455 allows and which leaves the payload as it is: the frame is
 * built once per member, and only the last digits of the command id are written into it before each send.
 */

import { type Socket, connect } from 'node:net';
import type { FrameReader } from './frame-reader.ts';
import { CARRY_MAX_BYTES, type FrameSink } from './frame-reader.ts';

const READ_MAX_BYTES = 256 * 1024;
/** One buffer for all sockets: a read is consumed before the next one starts (all callbacks are synchronous). */
const shared = Buffer.allocUnsafe(CARRY_MAX_BYTES + READ_MAX_BYTES);
const readInto = shared.subarray(CARRY_MAX_BYTES);

/** A masked text frame (key 0) around `payload`. */
export const clientFrame = (payload: string): Buffer => {
  const bytes = Buffer.from(payload);
  const isShort = bytes.length < 126;
  const header = Buffer.alloc(isShort ? 6 : 8);
  header[0] = 0x81;
  if (isShort) header[1] = 0x80 | bytes.length;
  else {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(bytes.length, 2);
  }
  return Buffer.concat([header, bytes]);
};

export type SocketTarget = { readonly host: string; readonly port: number; readonly path: string };

export const upgradeRequest = (target: SocketTarget): string =>
  `GET ${target.path} HTTP/1.1\r\nHost: ${target.host}:${target.port}\r\nUpgrade: websocket\r\n` +
  'Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Protocol: chat.v1\r\n\r\n';

/** Opens the socket and feeds what arrives to a reader; `beforeRead` runs once per read (the caller's clock). */
export const openMemberSocket = (
  target: SocketTarget,
  reader: FrameReader,
  sink: FrameSink,
  beforeRead: () => void,
): Socket => {
  const socket = connect({
    host: target.host,
    port: target.port,
    noDelay: true,
    onread: {
      buffer: readInto,
      callback: (readBytes) => {
        beforeRead();
        reader.read(shared, CARRY_MAX_BYTES, CARRY_MAX_BYTES + readBytes);
        return true;
      },
    },
  });
  socket.on('error', (error) => sink.onFault(`socket: ${error.message}`));
  socket.on('close', () => sink.onClose(1006, 'the connection ended'));
  socket.on('connect', () => socket.write(upgradeRequest(target)));
  return socket;
};
