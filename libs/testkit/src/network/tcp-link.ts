/**
 * A TCP proxy on loopback that stands for the network between two parts, and fails as networks do.
 *
 * Modes
 *   pass       as if it were not there
 *   delay      every chunk arrives `ms` ± `jitterMs` later, in order
 *   blackhole  nothing passes in the direction(s); connections stay, no end of one is told; what was under way arrives after
 *              the mode is left (TCP would have sent it again). A new connection is accepted and hears nothing.
 *   loss       what lost packets look like from above TCP: a share of the chunks stalls the direction for 200 to 1000 ms (the
 *              retransmission), a smaller share resets the connection
 *   refuse     no new connection; those that are open stay
 * `cut` resets all open connections. Bound: QUEUE_MAX_BYTES a direction of a connection, then its source is not read.
 */

import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { type Direction, createConnection } from './tcp-connection.ts';

export type LinkMode =
  | { readonly kind: 'pass' }
  | { readonly kind: 'delay'; readonly ms: number; readonly jitterMs: number }
  | { readonly kind: 'blackhole'; readonly direction: Direction | 'both' }
  | { readonly kind: 'loss'; readonly stallShare: number; readonly resetShare: number }
  | { readonly kind: 'refuse' };

/** Since the link was made; what proves that a fault took place. */
export type LinkStats = {
  readonly openCount: number;
  readonly toServerBytes: number;
  readonly toClientBytes: number;
  readonly delayedCount: number;
  readonly stalledCount: number;
  readonly resetCount: number;
  readonly refusedCount: number;
};

export type TcpLink = {
  /** For example `writer-1→postgres`. */
  readonly name: string;
  readonly port: number;
  set(mode: LinkMode): void;
  /** Resets every open connection; answers how many there were. */
  cut(): number;
  /** New connections go to another port of this machine; open ones stay where they are. */
  retarget(port: number): void;
  stats(): LinkStats;
  stop(): Promise<void>;
};

export type TcpLinkOptions = {
  readonly name: string;
  /** Where the server listens; read at each new connection. */
  readonly targetPort: number;
  /** Default: one the system gives. */
  readonly port?: number;
  readonly random?: () => number;
};

export type MutableStats = { -readonly [K in keyof LinkStats]: LinkStats[K] };

const listen = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });

export const startTcpLink = async (options: TcpLinkOptions): Promise<TcpLink> => {
  const { name, random = Math.random } = options;
  let { targetPort } = options;
  let mode: LinkMode = { kind: 'pass' };
  const stats: MutableStats = {
    openCount: 0,
    toServerBytes: 0,
    toClientBytes: 0,
    delayedCount: 0,
    stalledCount: 0,
    resetCount: 0,
    refusedCount: 0,
  };
  const open = new Set<ReturnType<typeof createConnection>>();

  const accept = (client: Socket): void => {
    if (mode.kind === 'refuse') {
      stats.refusedCount += 1;
      client.resetAndDestroy();
      return;
    }
    const connection = createConnection(client, {
      targetPort: () => targetPort,
      mode: () => mode,
      stats,
      random,
      onGone: () => {
        open.delete(connection);
        stats.openCount = open.size;
      },
    });
    open.add(connection);
    stats.openCount = open.size;
    connection.look();
  };
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, accept);
  await listen(server, options.port ?? 0);

  const cut = (): number => {
    const count = open.size;
    for (const connection of [...open]) connection.reset();
    stats.resetCount += count;
    return count;
  };
  return {
    name,
    port: (server.address() as AddressInfo).port,
    set: (next) => {
      mode = next;
      for (const connection of [...open]) connection.look();
    },
    cut,
    retarget: (port) => {
      targetPort = port;
    },
    stats: () => ({ ...stats }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of [...open]) connection.reset();
      }),
  };
};
