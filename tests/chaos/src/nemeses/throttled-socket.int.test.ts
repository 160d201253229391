import { type AddressInfo, type Socket, createServer } from 'node:net';
import { eventually } from '@chat/testkit/checking/eventually';
import { afterEach, describe, expect, it } from 'vitest';
import { type ThrottledSocket, connectThrottled } from './throttled-socket.ts';

const MESSAGE = Buffer.alloc(30_000, 'x');
const COUNT = 300;

describe('a throttled socket', () => {
  let end: (() => void) | undefined;
  afterEach(() => end?.());

  it('reads at its rate while the sender is held up, then all that is left as fast as it comes', async () => {
    let peer: Socket | undefined;
    let wroteCount = 0;
    const server = createServer((socket) => {
      peer = socket;
      socket.on('error', () => undefined);
      const write = (): void => {
        while (wroteCount < COUNT) {
          wroteCount += 1;
          if (!socket.write(MESSAGE)) return void socket.once('drain', write);
        }
      };
      write();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    let heardBytes = 0;
    const reader: ThrottledSocket = connectThrottled(
      '127.0.0.1',
      (server.address() as AddressInfo).port,
      4_000,
    );
    reader.on('data', (chunk: Buffer) => {
      heardBytes += chunk.length;
    });
    end = () => {
      reader.destroy();
      peer?.destroy();
      server.close();
    };
    await eventually('something is read', () => heardBytes > 1_000);
    expect(heardBytes).toBeLessThan(100_000);
    expect(wroteCount).toBeLessThan(COUNT); // the sender waits for a reader
    reader.setRate(Infinity);
    await eventually('everything is read', () => heardBytes === COUNT * MESSAGE.length, {
      timeoutMs: 10_000,
    });
    expect(reader.readBytes()).toBe(heardBytes);
  });
});
