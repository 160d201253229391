import { type NatsHandle } from '@chat/platform/nats/connect';
import {
  type PubAckResult,
  type WindowedPublisher,
  createWindowedPublisher,
  encodeHeaders,
  expectedLastSeqHeader,
  lastSeqOfRefusal,
  msgIdHeader,
} from '@chat/platform/nats/publisher';
import { asMsgHdrs } from '@chat/platform/nats/raw-headers';
import { ensureCmdStream, ensureEvtStream, getMessage } from '@chat/platform/nats/streams';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { testNats } from '@chat/testkit/servers/servers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectAs, inboxOf, pauseWhole, until } from './nats-client.ts';

let server: NatsServer;
let writer: NatsHandle;
let gateway: NatsHandle;
let partition = 0;
const publishers: WindowedPublisher[] = [];

beforeAll(async () => {
  server = await testNats();
  writer = await connectAs(server, 'writer');
  gateway = await connectAs(server, 'gateway');
});
afterEach(() => {
  for (const publisher of publishers.splice(0)) publisher.close();
  partition++;
});
afterAll(async () => {
  await writer.close();
  await gateway.close();
  await server[Symbol.asyncDispose]();
});

const newPublisher = (role: 'writer' | 'gateway', maxInFlight = 64, timeoutMs = 5_000): WindowedPublisher => {
  const { nc } = role === 'writer' ? writer : gateway;
  const publisher = createWindowedPublisher({ nc, inboxPrefix: inboxOf(role), maxInFlight, timeoutMs });
  publishers.push(publisher);
  return publisher;
};
const data = Buffer.from('{}');
const cmd = (): string => `cmd.${partition}.team.message.send`;
const evt = (): string => `evt.${partition}.team.t`;
const publish = (
  publisher: WindowedPublisher,
  subject: string,
  headers = msgIdHeader('m1'),
): Promise<PubAckResult> =>
  new Promise((resolve) => {
    expect(publisher.publish(subject, data, headers, resolve)).toBe(true);
  });

describe('a windowed publisher', () => {
  it('tells where each message was stored, and that a repeat is one', async () => {
    await ensureCmdStream(writer.jsm, partition);
    const publisher = newPublisher('gateway');
    const stream = `CMD_${partition}`;
    expect(await publish(publisher, cmd(), msgIdHeader('a'))).toEqual({
      kind: 'ok',
      stream,
      seq: 1,
      duplicate: false,
    });
    expect(await publish(publisher, cmd(), msgIdHeader('b'))).toEqual({
      kind: 'ok',
      stream,
      seq: 2,
      duplicate: false,
    });
    expect(await publish(publisher, cmd(), msgIdHeader('a'))).toEqual({
      kind: 'ok',
      stream,
      seq: 1,
      duplicate: true,
    });
    expect(publisher.inFlightCount()).toBe(0);
  });

  it('tells with which code an append out of turn is refused, and where the stream stands', async () => {
    await ensureEvtStream(writer.jsm, partition, { epoch: 'e' });
    const publisher = newPublisher('writer');
    expect(await publish(publisher, evt(), expectedLastSeqHeader(0))).toMatchObject({ kind: 'ok', seq: 1 });
    const refusal = await publish(publisher, evt(), expectedLastSeqHeader(0));
    expect(refusal).toMatchObject({ kind: 'error', code: 10071 });
    expect(lastSeqOfRefusal(refusal)).toBe(1);
  });

  it('appends a chain of which only the last asks for an answer; one out of turn stores nothing', async () => {
    await ensureEvtStream(writer.jsm, partition, { epoch: 'e' });
    const publisher = newPublisher('writer');
    for (let seq = 1; seq < 100; seq++) publisher.publishNoReply(evt(), data, expectedLastSeqHeader(seq - 1));
    expect(await publish(publisher, evt(), expectedLastSeqHeader(99))).toMatchObject({
      kind: 'ok',
      seq: 100,
    });
    publisher.publishNoReply(evt(), data, expectedLastSeqHeader(50));
    const refusal = await publish(publisher, evt(), expectedLastSeqHeader(101));
    expect(lastSeqOfRefusal(refusal)).toBe(100);
  });

  it('takes no more than its window, and goes on as acks come', async () => {
    await ensureCmdStream(writer.jsm, partition);
    const publisher = newPublisher('gateway', 8);
    const results: PubAckResult[] = [];
    for (let i = 0; i < 8; i++)
      expect(publisher.publish(cmd(), data, undefined, (r) => results.push(r))).toBe(true);
    expect(publisher.inFlightCount()).toBe(8);
    expect(publisher.publish(cmd(), data, undefined, () => results.push({ kind: 'timeout' }))).toBe(false);
    await until(() => results.length === 8, 'eight acks');
    // Of the refused one nothing was sent, and its callback is never called.
    expect(await publish(publisher, cmd())).toMatchObject({ seq: 9 });
    expect(results.every(({ kind }) => kind === 'ok')).toBe(true);
  });

  it('keeps the order of publishes, with publishes made from within acks', async () => {
    await ensureCmdStream(writer.jsm, partition);
    const publisher = newPublisher('gateway', 16);
    const seqs: number[] = [];
    let sent = 0;
    await new Promise<void>((resolve) => {
      const send = (): void => {
        while (sent < 5_000) {
          const number = sent + 1;
          const taken = publisher.publish(
            cmd(),
            Buffer.from(String(number)),
            msgIdHeader(`n${number}`),
            (result) => {
              seqs.push(result.kind === 'ok' ? result.seq : -1);
              if (seqs.length === 5_000) resolve();
              else send();
            },
          );
          if (!taken) return;
          sent++;
        }
      };
      send();
    });
    expect(seqs).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1));
    for (const seq of [1, 2_500, 5_000]) {
      const message = await getMessage(writer.jsm, `CMD_${partition}`, { seq });
      expect(Buffer.from(message!.data).toString()).toBe(String(seq));
    }
  });

  it('says at once when no stream takes the subject', async () => {
    expect(await publish(newPublisher('gateway'), cmd())).toEqual({ kind: 'no_responders' });
  });

  it('throws for what can never be sent, and takes no place for it', async () => {
    const publisher = newPublisher('gateway', 2);
    const huge = new Uint8Array(2 * 1024 * 1024);
    expect(() => publisher.publish(cmd(), huge, undefined, () => undefined)).toThrow(/max_payload/);
    expect(() => publisher.publish('a b', data, undefined, () => undefined)).toThrow();
    expect(publisher.inFlightCount()).toBe(0);
  });

  it('ends what is in flight as closed, once each, and what is published afterwards too', async () => {
    await ensureCmdStream(writer.jsm, partition);
    const publisher = newPublisher('gateway');
    const results: PubAckResult[] = [];
    for (let i = 0; i < 3; i++) publisher.publish(cmd(), data, undefined, (result) => results.push(result));
    publisher.close();
    publisher.close();
    expect(results).toEqual([{ kind: 'closed' }, { kind: 'closed' }, { kind: 'closed' }]);
    expect(await publish(publisher, cmd())).toEqual({ kind: 'closed' });
    await gateway.nc.flush();
    expect(results).toHaveLength(3);
  });

  it('times out while the server is paused, and ignores the ack that comes too late', async () => {
    await ensureCmdStream(writer.jsm, partition);
    const publisher = newPublisher('gateway', 4, 400);
    const results: PubAckResult[] = [];
    await pauseWhole(server);
    try {
      publisher.publish(cmd(), data, msgIdHeader('slow'), (result) => results.push(result));
      const startMs = performance.now();
      await until(() => results.length === 1, 'timeout', 3_000);
      expect(results).toEqual([{ kind: 'timeout' }]);
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(390);
      expect(results).toEqual([{ kind: 'timeout' }]);
    } finally {
      server.resume();
    }
    // It was stored after all: the repeat says so, and its slot was not confused by the late ack.
    expect(await publish(publisher, cmd(), msgIdHeader('slow'))).toMatchObject({
      kind: 'ok',
      seq: 1,
      duplicate: true,
    });
    expect(results).toHaveLength(1);
  });

  it('ends what is in flight when the connection is lost, and works again after the reconnect', async () => {
    await ensureCmdStream(writer.jsm, partition);
    const publisher = newPublisher('gateway', 64, 30_000);
    const results: PubAckResult[] = [];
    await pauseWhole(server); // so that nothing is answered before the kill
    for (let i = 0; i < 10; i++)
      publisher.publish(cmd(), data, msgIdHeader(`k${i}`), (result) => results.push(result));
    await server.kill();
    await until(() => results.length === 10, 'all ended', 10_000);
    expect(new Set(results.map(({ kind }) => kind))).toEqual(new Set(['timeout']));
    await server.start();
    await until(() => gateway.status().ok && writer.status().ok, 'reconnected');
    await until(
      async () => (await publish(publisher, cmd(), msgIdHeader('after'))).kind === 'ok',
      'publishing again',
    );
  });
});

describe('headers given to nats-core as bytes', () => {
  it('arrive as they would if its own were used', async () => {
    await ensureEvtStream(writer.jsm, partition, { epoch: 'e' });
    const headers = encodeHeaders(['Nats-Msg-Id: x1', 'Trace: a: b', 'Empty:']);
    writer.nc.publish(evt(), data, { headers: asMsgHdrs(headers) });
    writer.nc.publish(evt(), data, { headers: asMsgHdrs(headers) }); // a repeat: the broker read Nats-Msg-Id
    await until(
      async () => (await getMessage(writer.jsm, `EVT_${partition}`, { seq: 1 })) !== undefined,
      'stored',
    );
    await writer.nc.flush();
    const stored = await getMessage(writer.jsm, `EVT_${partition}`, { seq: 1 });
    expect([stored!.header('Nats-Msg-Id'), stored!.header('Trace'), stored!.header('Empty')]).toEqual([
      'x1',
      'a: b',
      '',
    ]);
    expect(await getMessage(writer.jsm, `EVT_${partition}`, { seq: 2 })).toBeUndefined();
  });

  it('are refused when they would end the header block early', () => {
    for (const line of ['A: b\r\nC: d', 'no colon', ': x', 'A: \u00e9', 'A b: c', 'A: b\n']) {
      expect(() => encodeHeaders([line])).toThrow(RangeError);
    }
  });
});
