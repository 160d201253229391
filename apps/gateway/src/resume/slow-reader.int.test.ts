import { createConnection, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeCodes } from '@chat/contracts/protocol';
import {
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newTeamId,
  until,
  user,
} from '../testing/gateway-world.ts';
import type { WireClient } from '../testing/wire-client.ts';

let world: World;
let gateway: GatewayUnderTest;
const ann = user('ann');
const team = newTeamId();
const channelId = newChannelId();

beforeAll(async () => {
  world = await createWorld();
  gateway = await world.startGateway({ SOCKET_MAX_BUFFERED_BYTES: '131072' });
  await world.makeTeam(team, ann);
  await world.addMember(team, channelId, ann);
});
afterAll(() => world[Symbol.asyncDispose]());

/** ws keeps its net.Socket here. */
const rawOf = (client: WireClient): Socket => (client.socket as unknown as { _socket: Socket })._socket;

/** Enough to fill the kernel's buffers of both sides and uWS's bound several times over. */
const flood = async (bytes: number): Promise<number> => {
  const text = 'x'.repeat(20_000);
  let last = 0;
  for (let sent = 0; sent < bytes; sent += 20_000) {
    last = world.appendSoon(team, `c_${channelId}`, 'message.sent', { text }, { channelId, channelSeq: 1 });
    if (sent % 1_000_000 === 0) await world.settle();
  }
  await world.settle();
  return last;
};

describe('a slow reader', () => {
  it('that reads again gets everything once and in order, though frames were dropped', async () => {
    const [slow, quick] = [await gateway.join(team, ann), await gateway.join(team, ann)];
    const { head } = await slow.welcome();
    await quick.welcome();
    rawOf(slow).pause();
    const last = await flood(30_000_000);
    await quick.until('all of it', () => quick.events.at(-1)?.seq === last, 20_000);
    rawOf(slow).resume();
    await slow.until('all of it', () => slow.events.at(-1)?.seq === last, 20_000);
    const expected = Array.from({ length: last - head }, (_, i) => head + 1 + i);
    expect(slow.seqs()).toEqual(expected);
    expect(quick.seqs()).toEqual(expected);
    // It was really taken out of live fan-out: only a finished replay ends with a tick.
    await slow.frame('tick');
    const next = await world.say(team, channelId, 'live again');
    await slow.until('live again', () => slow.events.at(-1)?.seq === next);
  });

  it('that never reads again is closed, and costs no other reader anything', async () => {
    const strict = await world.startGateway({
      SOCKET_MAX_BUFFERED_BYTES: '131072',
      SLOW_CONSUMER_MAX_MS: '1000',
    });
    const [stuck, quick] = [await strict.join(team, ann), await strict.join(team, ann)];
    await Promise.all([stuck.welcome(), quick.welcome()]);
    rawOf(stuck).pause();
    const last = await flood(30_000_000);
    await quick.until('all of it', () => quick.events.at(-1)?.seq === last, 20_000);
    await until('the socket is gone at the gateway', () => strict.gateway.sessionCount() === 1);
    // The close frame waits behind what it did not read: reading on shows it, or that the connection was cut.
    rawOf(stuck).resume();
    const { code } = await stuck.closed;
    expect([closeCodes.SLOW_CONSUMER, 1006]).toContain(code);
    const seqs = stuck.seqs();
    expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, i) => (seqs[0] ?? 0) + i));
  });

  it('half a frame and then nothing harms nobody', async () => {
    const { port, hostname } = new URL(gateway.url);
    const half = createConnection(Number(port), hostname);
    half.write('GET /ws/x HTTP/1.1\r\nHost: x\r\nUpgra');
    const client = await gateway.join(team, ann);
    await client.welcome();
    half.destroy();
    await until('gone', () => half.destroyed);
  });
});
