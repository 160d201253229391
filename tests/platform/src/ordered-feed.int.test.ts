import { cp, rename, rm } from 'node:fs/promises';
import { evtStream } from '@chat/contracts/streams';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { type FeedReset, type OrderedFeed, createOrderedFeed } from '@chat/platform/nats/ordered-feed';
import { createWindowedPublisher, expectedLastSeqHeader } from '@chat/platform/nats/publisher';
import { asMsgHdrs } from '@chat/platform/nats/raw-headers';
import { ensureEvtStream } from '@chat/platform/nats/streams';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { testNats } from '@chat/testkit/servers/servers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { lossyProxy } from './lossy-proxy.ts';
import { connectAs, inboxOf, pauseWhole, testLog, until } from './nats-client.ts';

let server: NatsServer;
let writer: NatsHandle;
let gateway: NatsHandle;
let partition = 0;
const feeds: OrderedFeed[] = [];

beforeAll(async () => {
  server = await testNats();
  writer = await connectAs(server, 'writer');
  gateway = await connectAs(server, 'gateway');
});
afterEach(async () => {
  for (const feed of feeds.splice(0)) await feed.stop();
  partition++;
});
afterAll(async () => {
  await writer.close();
  await gateway.close();
  await server[Symbol.asyncDispose]();
});

type Seen = {
  readonly feed: OrderedFeed;
  readonly seqs: number[];
  readonly texts: string[];
  readonly gaps: [number, number][];
  readonly resets: FeedReset[];
};

/** A feed as the gateway runs one; each partition (test) has a stream of its own. */
const newFeed = (
  startSeq = 1,
  more: { onMessage?: (seq: number, feed: OrderedFeed) => void } = {},
  { nc, jsm }: NatsHandle = gateway,
): Seen => {
  const seqs: number[] = [];
  const texts: string[] = [];
  const gaps: [number, number][] = [];
  const resets: FeedReset[] = [];
  const feed = createOrderedFeed({
    nc,
    jsm,
    stream: evtStream(partition),
    startSeq,
    namePrefix: `gateway_test_${partition}`,
    heartbeatMs: 200,
    log: testLog(),
    onMessage: ({ seq, data }) => {
      seqs.push(seq);
      texts.push(Buffer.from(data).toString());
      more.onMessage?.(seq, feed);
    },
    onGap: (expected, got) => gaps.push([expected, got]),
    onReset: (reason) => resets.push(reason),
  });
  feeds.push(feed);
  return { feed, seqs, texts, gaps, resets };
};

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
const evt = (): Promise<unknown> => ensureEvtStream(writer.jsm, partition, { epoch: 'e1' });

/** Appends `e<from>`…`e<to>` as the relay does: each only at its own sequence; repeats until all are in. */
const append = async (from: number, to: number): Promise<void> => {
  const stream = evtStream(partition);
  for (let seq = from; seq <= to;) {
    try {
      await writer.js.publish(`evt.${partition}.team.t`, `e${seq}`, {
        expect: { lastSequence: seq - 1 },
        timeout: 1_000,
      });
      seq++;
    } catch {
      const last = await writer.jsm.streams.info(stream).then(
        (info) => info.state.last_seq,
        () => undefined,
      );
      if (last !== undefined) seq = Math.max(from, last + 1);
    }
  }
};
const consumersOf = async (stream: string): Promise<string[]> => {
  const names: string[] = [];
  for await (const info of writer.jsm.consumers.list(stream)) names.push(info.name);
  return names;
};

describe('an ordered feed', () => {
  it('delivers what is there and then what comes, in order, and says when it has caught up', async () => {
    await evt();
    await append(1, 20);
    const { feed, seqs, texts, gaps } = newFeed();
    expect(feed.caughtUp()).toBe(false);
    await feed.start();
    await until(() => feed.caughtUp(), 'caught up');
    expect(seqs).toEqual(range(1, 20));
    await append(21, 40);
    await until(() => feed.position() === 40, 'live messages');
    expect(seqs).toEqual(range(1, 40));
    expect(texts).toEqual(range(1, 40).map((seq) => `e${seq}`));
    expect(gaps).toEqual([]);
    expect(feed.pendingCount()).toBe(0);
  });

  it('starts at the asked sequence, and one is seen under its name prefix by operators', async () => {
    await evt();
    await append(1, 10);
    const { feed, seqs } = newFeed(7);
    expect(feed.position()).toBe(6);
    await feed.start();
    await until(() => feed.position() === 10, 'the rest');
    expect(seqs).toEqual([7, 8, 9, 10]);
    expect((await consumersOf(evtStream(partition))).map((name) => name.startsWith('gateway_test_'))).toEqual(
      [true],
    );
    await feed.stop();
    expect(await consumersOf(evtStream(partition))).toEqual([]);
  });

  it('waits when it starts beyond the end of the stream, and skips what it was said to have', async () => {
    await evt();
    await append(1, 3);
    const { feed, seqs, gaps } = newFeed(6);
    await feed.start();
    await until(() => feed.caughtUp(), 'caught up');
    await append(4, 8);
    await until(() => feed.position() === 8, 'the messages behind its position');
    expect(seqs).toEqual([6, 7, 8]);
    expect(gaps).toEqual([]);
  });

  it('waits for a stream that does not exist yet', async () => {
    const { feed, seqs, resets } = newFeed();
    await feed.start();
    await until(() => resets.includes('stream_missing'), 'missing stream noticed');
    expect(feed.silentForMs()).toBeGreaterThan(0);
    await evt();
    await append(1, 3);
    await until(() => feed.position() === 3, 'messages of the new stream');
    expect(seqs).toEqual([1, 2, 3]);
    expect(feed.silentForMs()).toBe(0);
  });

  it('reports what was purged as a gap, before the next message', async () => {
    await evt();
    await append(1, 10);
    await writer.jsm.streams.purge(evtStream(partition), { seq: 6 });
    const { feed, seqs, gaps } = newFeed();
    await feed.start();
    await until(() => feed.position() === 10, 'the rest');
    expect(gaps).toEqual([[1, 6]]);
    expect(seqs).toEqual([6, 7, 8, 9, 10]);
    feed.pause();
    await append(11, 20);
    await writer.jsm.streams.purge(evtStream(partition), { seq: 15 });
    feed.resume();
    await until(() => feed.position() === 20, 'behind the second purge');
    expect(gaps).toEqual([
      [1, 6],
      [11, 15],
    ]);
  });

  it('is caught up on a stream that was purged whole', async () => {
    await evt();
    await append(1, 5);
    await writer.jsm.streams.purge(evtStream(partition));
    const { feed, gaps } = newFeed();
    await feed.start();
    await until(() => feed.caughtUp(), 'caught up');
    await append(6, 6);
    await until(() => feed.position() === 6, 'the next');
    expect(gaps).toEqual([[1, 6]]);
  });

  it('goes on after its consumer was deleted', async () => {
    await evt();
    await append(1, 5);
    const { feed, seqs, resets } = newFeed();
    await feed.start();
    await until(() => feed.position() === 5, 'first messages');
    const [name] = await consumersOf(evtStream(partition));
    await writer.jsm.consumers.delete(evtStream(partition), name!);
    await append(6, 10);
    await until(() => feed.position() === 10, 'messages after the deletion', 5_000);
    expect(seqs).toEqual(range(1, 10));
    expect(resets.length).toBeGreaterThan(0);
  });

  it('announces a stream that was made anew, and goes on at the same sequence when it begins there', async () => {
    await evt();
    await append(1, 5);
    const { feed, seqs, gaps, resets } = newFeed();
    await feed.start();
    await until(() => feed.position() === 5, 'first messages');
    await writer.jsm.streams.delete(evtStream(partition));
    await ensureEvtStream(writer.jsm, partition, { epoch: 'e1', firstSeq: 6 });
    await append(6, 9);
    await until(() => feed.position() === 9, 'messages of the new stream');
    expect(seqs).toEqual(range(1, 9));
    expect(gaps).toEqual([]);
    expect(resets).toContain('stream_recreated');
  });

  it('delivers the same numbers again only once when a wiped stream is filled again', async () => {
    await evt();
    await append(1, 8);
    const { feed, seqs, resets } = newFeed();
    await feed.start();
    await until(() => feed.position() === 8, 'first messages');
    await writer.jsm.streams.delete(evtStream(partition));
    await evt();
    // Only when the feed already listens to the new stream, so that it is offered the old numbers.
    await until(() => resets.includes('stream_recreated') && feed.caughtUp(), 'following the new stream');
    await append(1, 12);
    await until(() => feed.position() === 12, 'messages behind the old end');
    expect(seqs).toEqual(range(1, 12));
  });

  it('lets its user restart it where it wants, also from within the announcement of a new stream', async () => {
    await evt();
    await append(1, 6);
    const seqs: number[] = [];
    const feed = createOrderedFeed({
      nc: gateway.nc,
      jsm: gateway.jsm,
      stream: evtStream(partition),
      startSeq: 1,
      namePrefix: 'gateway_restart',
      heartbeatMs: 200,
      log: testLog(),
      onMessage: ({ seq }) => seqs.push(seq),
      onReset: (reason) => {
        if (reason === 'stream_recreated') feed.restartFrom(1);
      },
    });
    feeds.push(feed);
    await feed.start();
    await until(() => feed.position() === 6, 'first messages');
    feed.restartFrom(4);
    await until(() => seqs.length === 9, 'again from 4');
    expect(seqs).toEqual([...range(1, 6), 4, 5, 6]);
    await writer.jsm.streams.delete(evtStream(partition));
    await evt();
    await append(1, 3);
    await until(() => seqs.length === 12, 'the new stream from its first');
    expect(seqs.slice(9)).toEqual([1, 2, 3]);
  });

  it('with a filter delivers only that subject, and calls nothing a gap', async () => {
    await evt();
    for (let i = 1; i <= 9; i++)
      await writer.js.publish(`evt.${partition}.${i % 3 === 0 ? 'b' : 'a'}.t`, `e${i}`);
    const seqs: number[] = [];
    const gaps: number[] = [];
    const feed = createOrderedFeed({
      nc: gateway.nc,
      jsm: gateway.jsm,
      stream: evtStream(partition),
      startSeq: 1,
      namePrefix: 'gateway_filter',
      filterSubject: `evt.${partition}.b.*`,
      log: testLog(),
      onMessage: ({ seq }) => seqs.push(seq),
      onGap: (expected) => gaps.push(expected),
    });
    feeds.push(feed);
    await feed.start();
    await until(() => feed.caughtUp(), 'caught up');
    await writer.js.publish(`evt.${partition}.a.t`, 'e10');
    await writer.js.publish(`evt.${partition}.b.t`, 'e11');
    await until(() => feed.position() === 11, 'the live one');
    expect(seqs).toEqual([3, 6, 9, 11]);
    expect(gaps).toEqual([]);
  });

  it('tells the epoch of a stream made anew before it delivers anything of it', async () => {
    await evt();
    await append(1, 3);
    const log: string[] = [];
    const feed = createOrderedFeed({
      nc: gateway.nc,
      jsm: gateway.jsm,
      stream: evtStream(partition),
      startSeq: 1,
      namePrefix: 'gateway_epoch',
      heartbeatMs: 200,
      log: testLog(),
      onMessage: ({ seq }) => log.push(`message ${seq}`),
      onReset: (reason, stream) => reason === 'stream_recreated' && log.push(`${reason} ${stream?.epoch}`),
    });
    feeds.push(feed);
    await feed.start();
    await until(() => feed.position() === 3, 'first messages');
    await writer.jsm.streams.delete(evtStream(partition));
    await ensureEvtStream(writer.jsm, partition, { epoch: 'e2', firstSeq: 4 });
    await append(4, 4);
    await until(() => feed.position() === 4, 'the new stream');
    expect(log).toEqual(['message 1', 'message 2', 'message 3', 'stream_recreated e2', 'message 4']);
  });

  it('may be paused before it is started', async () => {
    await evt();
    await append(1, 3);
    const { feed, seqs } = newFeed();
    feed.pause();
    await feed.start();
    expect(await consumersOf(evtStream(partition))).toEqual([]);
    feed.resume();
    await until(() => feed.position() === 3, 'messages after the resume');
    expect(seqs).toEqual([1, 2, 3]);
  });

  it('delivers nothing while paused, also from within the handler, and nothing is lost by it', async () => {
    await evt();
    await append(1, 30);
    const { feed, seqs } = newFeed(1, { onMessage: (seq, f) => seq % 10 === 0 && f.pause() });
    await feed.start();
    await until(() => feed.position() === 10, 'the first ten');
    // The server has nobody to send to: the consumer is gone, so nothing can arrive later.
    await until(async () => (await consumersOf(evtStream(partition))).length === 0, 'consumer removed');
    expect(seqs).toEqual(range(1, 10));
    feed.resume();
    await until(() => feed.position() === 20, 'the second ten');
    feed.resume();
    await until(() => feed.position() === 30, 'the third ten');
    expect(seqs).toEqual(range(1, 30));
  });

  it('loses and doubles nothing when its handler is far slower than the writer', async () => {
    await evt();
    const count = 20_000;
    const payload = Buffer.alloc(1_000, 'x');
    const publisher = createWindowedPublisher({
      nc: writer.nc,
      inboxPrefix: inboxOf('writer'),
      maxInFlight: 4,
      timeoutMs: 5_000,
    });
    const { feed, seqs, gaps } = newFeed(1, {
      onMessage: (seq) => {
        // Busy for 250 ms every 2,000 messages: longer than heartbeats take, with megabytes waiting.
        if (seq % 2_000 !== 0) return;
        const endMs = performance.now() + 250;
        while (performance.now() < endMs);
      },
    });
    await feed.start();
    await new Promise<void>((resolve) => {
      for (let seq = 1; seq < count; seq++) {
        publisher.publishNoReply(`evt.${partition}.team.t`, payload, expectedLastSeqHeader(seq - 1));
      }
      publisher.publish(`evt.${partition}.team.t`, payload, expectedLastSeqHeader(count - 1), () =>
        resolve(),
      );
    });
    await until(() => feed.position() === count, 'all', 20_000);
    publisher.close();
    expect(seqs).toEqual(range(1, count));
    expect(gaps).toEqual([]);
  });

  it.each([
    ['the next delivery', 9],
    ['a heartbeat, when nothing follows', 5],
  ])('finds by %s that a message was lost on the way, and gets it', async (_, last) => {
    await evt();
    await append(1, 4);
    const proxy = await lossyProxy(server.port);
    const { user, password } = server.credentials.gateway;
    const lossy = await connectNats({
      servers: [proxy.url],
      user,
      password,
      name: 'lossy',
      inboxPrefix: '_INBOX_gateway',
      log: testLog(),
    });
    const seen = newFeed(1, {}, lossy);
    await seen.feed.start();
    await until(() => seen.feed.position() === 4, 'first messages');
    proxy.loseNext('e5');
    await append(5, last);
    await until(() => seen.feed.position() === last, 'all of them');
    expect(proxy.lost()).toBe(1);
    expect(seen.resets).toEqual(['delivery_gap']);
    expect(seen.seqs).toEqual(range(1, last));
    expect(seen.gaps).toEqual([]);
    await seen.feed.stop();
    await lossy.close();
    await proxy.close();
  });

  it('makes a new consumer when the server says that this one is over', async () => {
    await evt();
    await append(1, 3);
    const { feed, seqs, resets } = newFeed();
    await feed.start();
    await until(() => feed.position() === 3, 'first messages');
    const [name] = await consumersOf(evtStream(partition));
    const inbox = (await writer.jsm.consumers.info(evtStream(partition), name!)).config.deliver_subject!;
    const headers = { encode: () => Buffer.from('NATS/1.0 409 Consumer Deleted\r\n\r\n') };
    const ops = await connectAs(server, 'ops');
    ops.nc.publish(inbox, new Uint8Array(0), { headers: asMsgHdrs(headers) });
    await until(() => resets.length > 0, 'doubt');
    await append(4, 6);
    await until(() => feed.position() === 6, 'messages of the next consumer');
    await ops.close();
    expect(resets).toEqual(['consumer_deleted']);
    expect(seqs).toEqual(range(1, 6));
  });

  it('ends, and lets the fault surface, when its handler throws', async () => {
    await evt();
    await append(1, 3);
    const seqs: number[] = [];
    const thrown = new Promise<unknown>((resolve) => {
      const listeners = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const listener of listeners) process.on('uncaughtException', listener);
        resolve(error);
      });
    });
    const feed = createOrderedFeed({
      nc: gateway.nc,
      jsm: gateway.jsm,
      stream: evtStream(partition),
      startSeq: 1,
      namePrefix: 'gateway_throws',
      log: testLog(),
      onMessage: ({ seq }) => {
        seqs.push(seq);
        throw new Error(`cannot handle ${seq}`);
      },
    });
    feeds.push(feed);
    await feed.start();
    expect(await thrown).toMatchObject({ message: 'cannot handle 1' });
    expect(seqs).toEqual([1]);
    // The connection it shares with others still reads.
    expect(await gateway.nc.rtt()).toBeGreaterThanOrEqual(0);
  });
});

describe('an ordered feed and a server that dies', () => {
  it('goes on after kill -9 and restart, without a gap or a double, within seconds', async () => {
    await evt();
    await append(1, 50);
    const { feed, seqs, gaps } = newFeed();
    await feed.start();
    await until(() => feed.position() === 50, 'first messages');
    for (let round = 0; round < 3; round++) {
      const from = 51 + round * 50;
      const appending = append(from, from + 49);
      await until(() => feed.position() > from, 'messages flow');
      await server.kill();
      await server.start();
      const startedMs = performance.now();
      await appending;
      await until(() => feed.position() === from + 49, 'all messages after the restart');
      expect(performance.now() - startedMs).toBeLessThan(8_000);
    }
    expect(seqs).toEqual(range(1, 200));
    expect(gaps).toEqual([]);
  });

  it('says that the stream lost its tail, and delivers the same numbers again only once', async () => {
    await evt();
    await append(1, 3);
    await server.stop();
    const copy = `${server.dataDir}-copy`;
    await cp(server.dataDir, copy, { recursive: true });
    await server.start();
    const { feed, seqs, gaps, resets } = newFeed();
    await feed.start();
    await append(4, 6);
    await until(() => feed.position() === 6, 'messages that will be lost');
    await server.kill();
    await rm(server.dataDir, { recursive: true });
    await rename(copy, server.dataDir);
    await server.start();
    await until(() => resets.includes('stream_behind') && feed.caughtUp(), 'noticed', 20_000);
    await append(4, 9);
    await until(() => feed.position() === 9, 'messages behind the old end');
    expect(seqs).toEqual(range(1, 9));
    expect(gaps).toEqual([]);
    expect(resets).not.toContain('stream_recreated');
  });

  it('never calls a stream behind that is only being written while it is asked', async () => {
    await evt();
    // Opened anew every few messages, while they come one by one: each opening asks for the stream's state twice.
    const { feed, seqs, resets } = newFeed(1, {
      onMessage: (seq, f) => seq % 3 === 0 && f.restartFrom(seq + 1),
    });
    await feed.start();
    await append(1, 600);
    await until(() => feed.position() === 600, 'all');
    expect(seqs).toEqual(range(1, 600));
    expect(resets).toEqual([]);
  });

  it('notices a paused server, and goes on when it wakes', async () => {
    await evt();
    await append(1, 5);
    const { feed, seqs } = newFeed();
    await feed.start();
    await until(() => feed.position() === 5, 'first messages');
    await pauseWhole(server);
    await until(() => feed.silentForMs() > 0, 'silence noticed', 3_000);
    await until(() => !gateway.status().ok, 'readiness says so', 6_000);
    server.resume();
    await append(6, 10);
    await until(() => feed.position() === 10, 'messages after the pause');
    await until(() => feed.silentForMs() === 0 && gateway.status().ok, 'live again');
    expect(seqs).toEqual(range(1, 10));
  });
});
