import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isErrorCode } from '@chat/contracts/errors';
import type { ServerFrame } from '@chat/contracts/frames';
import { closeCodes } from '@chat/contracts/protocol';
import { type GatewayUnderTest, type World, createWorld, newTeamId, user } from '../testing/gateway-world.ts';
import type { WireClient } from '../testing/wire-client.ts';

let world: World;
let gateway: GatewayUnderTest;
const ann = user('ann');
const team = newTeamId();

beforeAll(async () => {
  world = await createWorld();
  gateway = await world.startGateway();
  await world.makeTeam(team, ann);
});
afterAll(() => world[Symbol.asyncDispose]());

const isClear = (frame: ServerFrame): boolean =>
  frame.t === 'error' || frame.t === 'rejected' ? isErrorCode(frame.code) && frame.message !== '' : true;

/** Frames that begin like real ones, with anything in them. */
const nearlyFrames = fc.record(
  {
    t: fc.constantFrom('cmd', 'ack', 'ping', 'typing', 'presence', 'reauth', 'hello', 'nonsense'),
    id: fc.oneof(fc.string(), fc.uuid(), fc.integer()),
    name: fc.oneof(fc.constantFrom('message.send', 'channel.create', 'member.add', 'read.mark'), fc.string()),
    data: fc.oneof(
      fc.anything({ withNullPrototype: false }),
      fc.record({ channelId: fc.uuid(), text: fc.string({ unit: 'binary' }) }),
    ),
    seq: fc.oneof(fc.integer(), fc.double()),
    channelId: fc.oneof(fc.uuid(), fc.string()),
    token: fc.string(),
  },
  { requiredKeys: ['t'] },
);

const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.json({ maxDepth: 20 }),
  nearlyFrames.map((frame) =>
    JSON.stringify(frame, (_key, value: unknown) => (typeof value === 'bigint' ? 1 : value)),
  ),
);

const openLive = async (): Promise<WireClient> => {
  const client = await gateway.join(team, ann);
  await client.welcome();
  return client;
};

/** Sends each and waits until the gateway has dealt with them all: it answers a ping, or has closed. */
const feed = async (client: WireClient, inputs: readonly (string | Buffer)[]): Promise<void> => {
  for (const input of inputs) if (client.closeCode === undefined) client.sendRaw(input);
  client.send({ t: 'ping', id: 'end' });
  const answered = client.until('the end', () => client.frames.some((f) => f.t === 'pong' && f.id === 'end'));
  await Promise.race([answered.catch(() => undefined), client.closed]);
};

describe('hostile frames', () => {
  it('of any bytes and JSON get clear coded answers or a protocol close, before and after hello', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(hostile, { maxLength: 12 }), fc.boolean(), async (inputs, isLive) => {
        const client = isLive ? await openLive() : await gateway.open(team);
        await feed(client, inputs);
        expect(client.frames.every(isClear)).toBe(true);
        if (client.closeCode !== undefined)
          expect([closeCodes.PROTOCOL_ERROR, closeCodes.TOKEN_INVALID]).toContain(client.closeCode);
        client.terminate();
      }),
      { numRuns: 150 },
    );
    await openLive();
  });

  it('that do not stop end the session', async () => {
    const client = await openLive();
    for (let i = 0; i < 40; i += 1) client.sendRaw('{');
    expect((await client.closed).code).toBe(closeCodes.PROTOCOL_ERROR);
  });

  it('up to 256 KiB are refused by size with a code; beyond, the connection ends and the gateway stands', async () => {
    const client = await openLive();
    client.sendRaw('x'.repeat(65_537));
    expect(await client.frame('error')).toMatchObject({ code: 'FRAME_TOO_LARGE' });
    client.sendRaw('x'.repeat(300_000));
    await client.closed;
    await openLive();
  });

  it('what uWS itself ends is counted as the fault of the client that it is, what breaks off is not', async () => {
    const closed = (reason: string): Promise<number> =>
      gateway.metric('chat_gateway_sockets_closed_total', { reason });
    const [protocolBefore, errorBefore] = [await closed('protocol'), await closed('error')];
    const notUtf8 = await openLive();
    notUtf8.socket.send(Buffer.from([0x7b, 0xff, 0xfe]), { binary: false });
    const tooBig = await openLive();
    tooBig.sendRaw('x'.repeat(300_000));
    await Promise.all([notUtf8.closed, tooBig.closed]);
    expect(await closed('protocol')).toBe(protocolBefore + 2);
    const broken = await openLive();
    broken.terminate();
    await expect.poll(() => closed('error')).toBeGreaterThan(errorBefore);
  });
});
