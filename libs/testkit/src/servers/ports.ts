import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';

const HOST = '127.0.0.1';

/** Whether this process could listen on the port now. */
export const isPortFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });

/**
 * Below the range the system takes for outgoing connections (32768 and up on Linux): a port from that range can be
 * taken as a source port while its server is down, and a client that reconnects to it can even meet itself.
 */
const PORT_FIRST = 15_000;
const PORT_LAST = 31_999;
const PORT_TRY_COUNT = 200;

/** A port nobody listens on now. Another process may take it before it is used: callers retry on a collision. */
export const freePort = async (): Promise<number> => {
  for (let i = 0; i < PORT_TRY_COUNT; i += 1) {
    const port = randomInt(PORT_FIRST, PORT_LAST + 1);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port between ${PORT_FIRST} and ${PORT_LAST}`);
};

/** Whether somebody accepts connections on the port now. */
export const isPortOpen = (port: number, timeoutMs = 1000): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: HOST, port, timeout: timeoutMs });
    const settle = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });

export const delay = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
