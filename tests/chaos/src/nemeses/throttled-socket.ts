/** A TCP connection that is read at so many bytes a second and no faster: the kernel's buffers fill, then the sender's. */

import { type Socket, connect } from 'node:net';
import { Duplex } from 'node:stream';

const SLICE_MS = 250;

export type ThrottledSocket = Duplex & {
  /** Infinity: as fast as it comes. */
  setRate: (bytesPerSecond: number) => void;
  readonly readBytes: () => number;
};

export const connectThrottled = (host: string, port: number, bytesPerSecond: number): ThrottledSocket => {
  // A small buffer of our own: what is not read stays in the kernel.
  const socket: Socket = connect({ host, port, highWaterMark: 1024 } as never);
  let rate = bytesPerSecond;
  let count = 0;
  let isWanted = false;
  const pull = (maxBytes: number): void => {
    while (isWanted && maxBytes > 0) {
      const chunk = (socket.read(Math.min(maxBytes, socket.readableLength)) ?? undefined) as
        Buffer | undefined;
      if (!chunk || chunk.length === 0) return;
      count += chunk.length;
      maxBytes -= chunk.length;
      // Pushing may ask for more before it answers: that wish must not be lost.
      isWanted = false;
      if (stream.push(chunk)) isWanted = true;
    }
  };
  const timer = setInterval(() => {
    if (Number.isFinite(rate)) pull((rate * SLICE_MS) / 1000);
  }, SLICE_MS);
  const stream = new Duplex({
    readableHighWaterMark: 1024,
    read: () => {
      isWanted = true;
      if (!Number.isFinite(rate)) pull(Infinity);
    },
    write: (chunk: Buffer, encoding, done) => void socket.write(chunk, encoding, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      clearInterval(timer);
      socket.destroy();
      done(error);
    },
  });
  socket.on('readable', () => {
    if (!Number.isFinite(rate)) pull(Infinity);
  });
  socket.on('end', () => void stream.push(null));
  socket.on('error', (error) => void stream.destroy(error));
  return Object.assign(stream, {
    setRate: (bytes: number) => {
      rate = bytes;
      if (!Number.isFinite(rate)) pull(Infinity);
    },
    readBytes: () => count,
  });
};
