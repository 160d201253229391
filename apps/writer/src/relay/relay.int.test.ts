import { expect, it, onTestFinished, vi } from 'vitest';
import { silentLogger } from '@chat/platform/log';
import { connectNats } from '@chat/platform/nats/connect';
import { type WindowedPublisher, createWindowedPublisher } from '@chat/platform/nats/publisher';
import { ensureEvtStream, streamState } from '@chat/platform/nats/streams';
import { testNats } from '@chat/testkit/servers/servers';
import { noFaultPoints } from '../fault-points.ts';
import { eventually } from '../testing/writer-rig.ts';
import { type Relay, type RelayEvent, createRelay } from './relay.ts';

vi.setConfig({ testTimeout: 60_000 });

const EVENT_COUNT = 3_000;
const events: readonly RelayEvent[] = Array.from({ length: EVENT_COUNT }, (_, i) => ({
  seq: i + 1,
  subject: 'evt.0.00aaaaaaaaaaaaaa.t',
  payload: `{"seq":${i + 1}}`,
}));

const setUp = async () => {
  const nats = await testNats();
  onTestFinished(() => nats[Symbol.asyncDispose]());
  const connect = async () => {
    const handle = await connectNats({
      servers: [nats.url],
      ...nats.credentials.writer,
      name: 'relay test',
      inboxPrefix: '_INBOX_writer',
      log: silentLogger(),
    });
    onTestFinished(() => handle.close());
    const publisher = createWindowedPublisher({
      nc: handle.nc,
      inboxPrefix: '_INBOX_writer',
      maxInFlight: 64,
      timeoutMs: 1_000,
    });
    onTestFinished(() => publisher.close());
    return { handle, publisher };
  };
  const first = await connect();
  await ensureEvtStream(first.handle.jsm, 0, { epoch: 'e' });
  const lastSeq = async (): Promise<number> => {
    const state = await streamState(first.handle.jsm, 'EVT_0');
    if (!state.exists) throw new Error('no stream');
    return state.lastSeq;
  };
  const relayOn = (publisher: WindowedPublisher): Relay => {
    const relay = createRelay(
      {
        p: 0,
        publisher,
        lastSeq,
        readRows: async (from, to) => events.slice(from - 1, Math.min(to, from + 255)),
        faultPoints: noFaultPoints,
        onAhead: () => {},
        wake: () => {},
        log: silentLogger(),
      },
      0,
      0,
    );
    onTestFinished(() => relay.stop());
    return relay;
  };
  const stored = async (): Promise<string[]> => {
    const found: string[] = [];
    for (let seq = 1; seq <= (await lastSeq()); seq += 1) {
      const message = await first.handle.jsm.streams.getMessage('EVT_0', { seq });
      found.push(message ? Buffer.from(message.data).toString() : 'missing');
    }
    return found;
  };
  return { nats, connect, first, relayOn, lastSeq, stored };
};

it('two relays race over one partition: every event once, in order, whoever was first', async () => {
  const { connect, first, relayOn, lastSeq, stored } = await setUp();
  const second = await connect();
  const relays = [relayOn(first.publisher), relayOn(second.publisher)];
  // Different cuts, interleaved, so that each is now ahead and now behind.
  for (const [index, cut] of [37, 53].entries()) {
    for (let from = 0; from < EVENT_COUNT; from += cut) {
      relays[index]!.append(events.slice(from, from + cut));
      if (from % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  await eventually('all relayed', async () => (await lastSeq()) === EVENT_COUNT);
  for (const relay of relays) await eventually('settled', async () => relay.unackedCount() === 0);
  expect(await stored()).toEqual(events.map((event) => event.payload));
});

it('nats-server killed in the middle of bursts: nothing is missing and nothing doubled afterwards', async () => {
  const { nats, first, relayOn, lastSeq, stored } = await setUp();
  const relay = relayOn(first.publisher);
  for (let from = 0; from < EVENT_COUNT; from += 50) {
    relay.append(events.slice(from, from + 50));
    if (from === 1_500) {
      await nats.kill();
      await nats.start();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually('all relayed', async () => (await lastSeq()) === EVENT_COUNT);
  await eventually('settled', async () => relay.unackedCount() === 0);
  expect(await stored()).toEqual(events.map((event) => event.payload));
});
