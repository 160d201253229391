import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../checking/eventually.ts';
import { type TcpLink, startTcpLink } from './tcp-link.ts';

let server: Server;
let link: TcpLink;
const atServer: Socket[] = [];
const clients: Client[] = [];

type Client = { readonly socket: Socket; readonly said: () => string; readonly isClosed: () => boolean };

beforeEach(async () => {
  server = createServer((socket) => {
    atServer.push(socket);
    socket.on('error', () => undefined).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  link = await startTcpLink({ name: 'a→b', targetPort: (server.address() as AddressInfo).port });
});
afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  for (const socket of atServer.splice(0)) socket.destroy();
  await link.stop();
  await new Promise((resolve) => server.close(resolve));
});

const open = async (): Promise<Client> => {
  const socket = connect(link.port, '127.0.0.1');
  let text = '';
  let isClosed = false;
  socket.on('error', () => undefined);
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
  socket.on('close', () => (isClosed = true));
  await new Promise<void>((resolve) => socket.once('connect', resolve).once('close', resolve));
  const client = { socket, said: () => text, isClosed: () => isClosed };
  clients.push(client);
  return client;
};
const heard = (client: Client, text: string): Promise<unknown> =>
  eventually(`the echo of ${text.length} bytes`, () => client.said() === text);

describe('a link', () => {
  it('passes what is said, megabytes too, and the end of it', async () => {
    const client = await open();
    const text = 'abcdefgh'.repeat(400_000);
    client.socket.end(text);
    await heard(client, text);
    await eventually('the end', client.isClosed);
    await eventually('nothing is left open', () => link.stats().openCount === 0);
    expect(link.stats()).toMatchObject({ toServerBytes: text.length, toClientBytes: text.length });
  });

  it('delays in both directions and keeps the order', async () => {
    const client = await open();
    client.socket.write('0');
    await heard(client, '0');
    link.set({ kind: 'delay', ms: 100, jitterMs: 50 });
    const fromMs = performance.now();
    for (let i = 1; i < 6; i += 1) client.socket.write(String(i));
    await heard(client, '012345');
    expect(performance.now() - fromMs).toBeGreaterThan(95);
    expect(link.stats().delayedCount).toBeGreaterThanOrEqual(2);
  });

  it('a black hole lets nothing through, not even the end; afterwards all of it arrives', async () => {
    const client = await open();
    client.socket.write('before ');
    await heard(client, 'before ');
    link.set({ kind: 'blackhole', direction: 'both' });
    client.socket.write('meanwhile');
    const late = await open();
    late.socket.write('late');
    const gone = await open();
    gone.socket.destroy();
    const { toServerBytes } = link.stats();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(link.stats().toServerBytes).toBe(toServerBytes);
    expect(atServer).toHaveLength(1);
    link.set({ kind: 'pass' });
    await heard(client, 'before meanwhile');
    await heard(late, 'late');
    await eventually('the one that gave up is forgotten', () => link.stats().openCount === 2);
  });

  it('one direction can be black while the other passes', async () => {
    const client = await open();
    client.socket.write('x');
    await heard(client, 'x');
    link.set({ kind: 'blackhole', direction: 'toClient' });
    const { toServerBytes } = link.stats();
    client.socket.write('y');
    await eventually('it reaches the server', () => link.stats().toServerBytes === toServerBytes + 1);
    expect(client.said()).toBe('x');
    link.set({ kind: 'pass' });
    await heard(client, 'xy');
  });

  it('cuts every connection, refuses new ones, and goes on when told to', async () => {
    const [one, two] = [await open(), await open()];
    await eventually('both are at the server', () => atServer.length === 2);
    link.set({ kind: 'refuse' });
    expect(link.cut()).toBe(2);
    await eventually('both are closed', () => one.isClosed() && two.isClosed());
    const refused = await open();
    await eventually('a new one is refused', refused.isClosed);
    expect(link.stats()).toMatchObject({ resetCount: 2, refusedCount: 1 });
    link.set({ kind: 'pass' });
    const again = await open();
    again.socket.write('again');
    await heard(again, 'again');
  });

  it('loss stalls and resets, and loses nothing of a connection that lives', async () => {
    const client = await open();
    link.set({ kind: 'loss', stallShare: 1, resetShare: 0 });
    const fromMs = performance.now();
    client.socket.write('late');
    await heard(client, 'late');
    expect(performance.now() - fromMs).toBeGreaterThan(350);
    link.set({ kind: 'loss', stallShare: 0, resetShare: 1 });
    client.socket.write('x');
    await eventually('it is reset', client.isClosed);
    expect(link.stats().resetCount).toBe(1);
  });

  it('a server that is not there is a closed connection', async () => {
    link.retarget(1);
    const client = await open();
    await eventually('it is closed', client.isClosed);
  });
});
