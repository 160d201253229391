/** Stands between a client and nats-server, and loses one message on the way to the client when it is told to. */

import { type Socket, connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

export type LossyProxy = {
  readonly url: string;
  /** The next message whose payload is exactly this does not arrive. */
  loseNext(payload: string): void;
  lost(): number;
  close(): Promise<void>;
};

export const lossyProxy = async (serverPort: number): Promise<LossyProxy> => {
  const sockets = new Set<Socket>();
  let wanted: RegExp | undefined;
  let lostCount = 0;
  const track = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    return socket;
  };
  const filtered = (chunk: Buffer): Buffer => {
    if (wanted === undefined) return chunk;
    const text = chunk.toString('latin1');
    const rest = text.replace(wanted, '');
    if (rest.length === text.length) return chunk;
    lostCount++;
    wanted = undefined;
    return Buffer.from(rest, 'latin1');
  };
  const proxy = createServer((client) => {
    const upstream = track(connect(serverPort, '127.0.0.1'));
    track(client).pipe(upstream);
    upstream.on('data', (chunk: Buffer) => client.write(filtered(chunk))).on('end', () => client.end());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `nats://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    loseNext: (payload) => {
      const head = '(?<=^|\\r\\n)H?MSG \\S+ \\d+ \\S+( \\d+)? \\d+\\r\\n';
      const headers = '(NATS/1\\.0\\r\\n([^\\r\\n]+\\r\\n)*\\r\\n)?';
      wanted = new RegExp(`${head}${headers}${payload}\\r\\n`);
    },
    lost: () => lostCount,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => proxy.close(() => resolve()));
    },
  };
};
