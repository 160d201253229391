import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  EPOCH,
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newTeamId,
  user,
} from '../testing/gateway-world.ts';
import type { WireClient } from '../testing/wire-client.ts';

const READER_COUNT = 6;
const CHANNEL_COUNT = 40;

let world: World;
let gateway: GatewayUnderTest;
const ann = user('ann');
const team = newTeamId();
const channels = Array.from({ length: CHANNEL_COUNT }, newChannelId);

beforeAll(async () => {
  world = await createWorld();
  gateway = await world.startGateway({ SOCKET_MAX_BUFFERED_BYTES: '131072', REPLAY_MAX_COUNT: '100000' });
  await world.makeTeam(team, ann);
  for (const channelId of channels) await world.addMember(team, channelId, ann);
});
afterAll(() => world[Symbol.asyncDispose]());

/** ws keeps its net.Socket here. */
const rawOf = (client: WireClient): Socket => (client.socket as unknown as { _socket: Socket })._socket;

const say = (index: number, bytes: number): number => {
  const channelId = channels[index % CHANNEL_COUNT];
  if (!channelId) throw new RangeError('no such channel');
  return world.appendSoon(
    team,
    `c_${channelId}`,
    'message.sent',
    { text: 'x'.repeat(bytes) },
    { channelId, channelSeq: 1 },
  );
};

/** Reads on to `last`, over as many connections as it takes; answers the seqs as they came. */
const readOn = async (first: WireClient, head: number, last: number): Promise<number[]> => {
  const seqs: number[] = [];
  for (let client = first; ;) {
    await client.until(
      'all of it, or the end of the connection',
      () => client.events.at(-1)?.seq === last || client.closeCode !== undefined,
      20_000,
    );
    seqs.push(...client.seqs());
    const seq = seqs.at(-1) ?? head;
    if (seq >= last) return seqs;
    client = await gateway.join(team, ann, { epoch: EPOCH, seq });
  }
};

const race = async (rounds: number, round: (i: number) => number): Promise<void> => {
  const readers = await Promise.all(
    Array.from({ length: READER_COUNT }, () => gateway.join(team, ann, undefined)),
  );
  const heads = await Promise.all(readers.map(async (reader) => (await reader.welcome()).head));
  for (const reader of readers) rawOf(reader).pause();
  let last = 0;
  for (let i = 0; i < rounds; i += 1) {
    last = round(i);
    if (i % 20 === 19) await world.settle();
  }
  await world.settle();
  for (const reader of readers) rawOf(reader).resume();
  for (const [index, reader] of readers.entries()) {
    const head = heads[index] ?? 0;
    const seqs = await readOn(reader, head, last);
    const wrongAt = seqs.findIndex((seq, at) => seq !== head + 1 + at);
    expect(
      wrongAt < 0 ? 'all in order' : { reader: index, wrongAt, got: seqs.slice(wrongAt - 1, wrongAt + 5) },
    ).toBe('all in order');
    expect(seqs.length).toBe(last - head);
    reader.terminate();
  }
};

it('no large message gets through behind small ones that were dropped', async () => {
  await race(500, (i) => {
    for (let k = 0; k < 8; k += 1) say(i * 9 + k, 3_000);
    return say(i * 9 + 8, 20_000);
  });
});

it('whoever falls behind in a burst of many small messages misses none, even if he must come back for them', async () => {
  await race(350, (i) => {
    let last = 0;
    for (let k = 0; k < 80; k += 1) last = say(i + k, 700);
    return last;
  });
});

it('a typing that is dropped takes no event with it', async () => {
  const signals = await world.connect('gateway');
  const type = (index: number): void => {
    const channelId = channels[index % CHANNEL_COUNT];
    signals.nc.publish(`typing.0.${team}.${channelId}`, JSON.stringify({ userId: 'bob', channelId }));
  };
  await race(3_000, (i) => {
    type(i);
    const last = say(i, 6_000);
    type(i + 1);
    return last;
  });
});
