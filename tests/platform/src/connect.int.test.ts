import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { connectNats } from '@chat/platform/nats/connect';
import { testNats } from '@chat/testkit/servers/servers';
import { freePort } from '@chat/testkit/servers/ports';
import { afterEach, describe, expect, it } from 'vitest';
import { connectAs, pauseWhole, testLog, until } from './nats-client.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
const options = { name: 'test', inboxPrefix: '_INBOX_gateway', log: testLog() };

/** Greets as a nats-server of some version does. */
const fakeServer = async (version: string): Promise<string> => {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.write(
      `INFO {"server_id":"x","version":"${version}","headers":true,"max_payload":1000,"proto":1}\r\n`,
    );
    socket.on('data', (chunk) => chunk.includes('PING') && socket.write('PONG\r\n'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `nats://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

describe('connecting to NATS', () => {
  it('waits for a server that starts later', async () => {
    const port = await freePort();
    const controller = new AbortController();
    const connecting = connectNats({
      ...options,
      servers: [`nats://127.0.0.1:${port}`],
      user: 'ops',
      password: 'pLater',
      signal: controller.signal,
    });
    const password = 'pLater';
    const credentials = Object.fromEntries(
      ['gateway', 'writer', 'projector', 'api', 'ops', 'system'].map((user) => [user, { user, password }]),
    ) as never;
    const server = await testNats({ port, credentials });
    closing.push(() => server[Symbol.asyncDispose]());
    const handle = await connecting;
    closing.push(handle.close);
    expect(handle.status()).toEqual({ ok: true });
  });

  it('gives up waiting when it is told to', async () => {
    const controller = new AbortController();
    const connecting = connectNats({
      ...options,
      servers: [`127.0.0.1:${await freePort()}`],
      signal: controller.signal,
    });
    controller.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'STOPPED' });
  });

  it('refuses a server that is too old, naming what it found and what is needed', async () => {
    const servers = [await fakeServer('2.9.10')];
    await expect(connectNats({ ...options, servers })).rejects.toMatchObject({
      code: 'NATS_TOO_OLD',
      message: expect.stringMatching(/2\.14\.0 or newer.*found 2\.9\.10/) as string,
    });
  });

  it('says that user or password are wrong instead of waiting for ever', async () => {
    const server = await testNats();
    closing.push(() => server[Symbol.asyncDispose]());
    const wrong = connectNats({ ...options, servers: [server.url], user: 'gateway', password: 'pWrong' });
    await expect(wrong).rejects.toMatchObject({ code: 'NATS_AUTH' });
  });

  it('notices a dead and a paused server within seconds, says so to readiness, and comes back by itself', async () => {
    const server = await testNats();
    closing.push(() => server[Symbol.asyncDispose]());
    const handle = await connectAs(server, 'gateway');
    closing.push(handle.close);
    expect(handle.nc.info?.client_id).toBeGreaterThan(0);
    await server.kill();
    await until(() => !handle.status().ok, 'death noticed', 1_000);
    expect(handle.status()).toEqual({ ok: false, reason: 'NATS disconnected' });
    await server.start();
    await until(() => handle.status().ok, 'reconnected', 3_000);
    await pauseWhole(server);
    await until(() => !handle.status().ok, 'pause noticed', 5_500);
    server.resume();
    await until(() => handle.status().ok, 'reconnected after the pause', 6_000);
    await handle.nc.flush();
  });

  it('sends what was published before it closes, and a second close does nothing', async () => {
    const server = await testNats();
    closing.push(() => server[Symbol.asyncDispose]());
    const receiver = await connectAs(server, 'ops');
    closing.push(receiver.close);
    let received = 0;
    receiver.nc.subscribe('cmd.>', { callback: () => void received++ });
    await receiver.nc.flush();
    const sender = await connectAs(server, 'gateway');
    for (let i = 0; i < 1_000; i++) sender.nc.publish('cmd.0.x', new Uint8Array(100));
    await Promise.all([sender.close(), sender.close()]);
    expect(sender.status()).toMatchObject({ ok: false });
    await until(() => received === 1_000, 'all received');
  });

  it('closes although the server is gone', async () => {
    const server = await testNats();
    const handle = await connectAs(server, 'gateway');
    await server[Symbol.asyncDispose]();
    await handle.close();
    expect(handle.nc.isClosed()).toBe(true);
  });
});
