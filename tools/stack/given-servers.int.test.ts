import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '@chat/testkit/servers/ports';
import { testNats } from '@chat/testkit/servers/servers';
import { checkGivenMongo, checkGivenNats, givenNatsCredentials } from './given-servers.ts';

let server: Server | undefined;
afterEach(() => server?.close());

/** Something that greets as this text, as far as a first look goes. */
const greeter = async (greeting: string): Promise<number> => {
  const port = await freePort();
  server = createServer((socket) => socket.on('error', () => {}).end(greeting));
  await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve));
  return port;
};

describe('a NATS server that was given by NATS_URL', () => {
  it('is taken when it is new enough', async () => {
    const nats = await testNats();
    await checkGivenNats(nats.url);
    await nats[Symbol.asyncDispose]();
  });

  it('and is too old is refused, naming its version and the one needed', async () => {
    const port = await greeter('INFO {"server_id":"x","version":"2.9.10"}\r\n');
    await expect(checkGivenNats(`nats://127.0.0.1:${port}`)).rejects.toThrow(
      /version 2\.9\.10: 2\.14 or newer/,
    );
  });

  it('and does not answer, or is something else, is refused with what to do', async () => {
    await expect(checkGivenNats(`nats://127.0.0.1:${await freePort()}`)).rejects.toThrow(
      /start it, or unset NATS_URL/,
    );
    const port = await greeter('HTTP/1.1 400 Bad Request\r\n');
    await expect(checkGivenNats(`127.0.0.1:${port}`)).rejects.toThrow(/that is no NATS server/);
  });

  it('must hold no credentials', async () => {
    await expect(checkGivenNats('nats://me:secret@127.0.0.1:4222')).rejects.toThrow(/no credentials/);
  });

  it('needs a password for each role an app connects as', () => {
    expect(() => givenNatsCredentials({ NATS_API_PASSWORD: 'x' })).toThrow(
      'NATS_GATEWAY_PASSWORD, NATS_WRITER_PASSWORD, NATS_PROJECTOR_PASSWORD',
    );
  });
});

describe('a MongoDB that was given by MONGODB_URL', () => {
  it('and does not answer is refused with what to do, and without its password', async () => {
    const url = `mongodb://me:geheim@127.0.0.1:${await freePort()}/?replicaSet=rs0`;
    const refused = checkGivenMongo(url, 300);
    await expect(refused).rejects.toThrow(/No MongoDB answers at mongodb:\/\/me@127.*unset MONGODB_URL/);
    await expect(refused).rejects.not.toThrow(/geheim/);
  });
});
