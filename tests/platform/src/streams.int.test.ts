import { nanos } from '@nats-io/nats-core';
import { type NatsHandle } from '@chat/platform/nats/connect';
import {
  ensureCmdStream,
  ensureEvtStream,
  ensureMembersStream,
  getBySubjectFrom,
  getMessage,
  streamState,
} from '@chat/platform/nats/streams';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { testNats } from '@chat/testkit/servers/servers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectAs, pauseWhole } from './nats-client.ts';

let server: NatsServer;
let writer: NatsHandle;
let projector: NatsHandle;
let gateway: NatsHandle;
let p = 0;

beforeAll(async () => {
  server = await testNats();
  writer = await connectAs(server, 'writer');
  projector = await connectAs(server, 'projector');
  gateway = await connectAs(server, 'gateway');
});
afterEach(() => {
  p++;
});
afterAll(async () => {
  for (const handle of [writer, projector, gateway]) await handle.close();
  await server[Symbol.asyncDispose]();
});

const day = 24 * 3_600_000;

describe('making the streams', () => {
  it('gives each the bounds of the design', async () => {
    expect(await ensureCmdStream(writer.jsm, p)).toMatchObject({
      created: true,
      state: { firstSeq: 1, lastSeq: 0 },
    });
    await ensureEvtStream(writer.jsm, p, { epoch: 'e1' });
    await ensureMembersStream(projector.jsm);
    const config = async (name: string) => (await writer.jsm.streams.info(name)).config;
    expect(await config(`CMD_${p}`)).toMatchObject({
      subjects: [`cmd.${p}.>`],
      retention: 'limits',
      storage: 'file',
      discard: 'new',
      max_bytes: 1024 ** 3,
      max_age: 0,
      duplicate_window: nanos(600_000),
      allow_direct: true,
      max_msg_size: 256 * 1024,
    });
    expect(await config(`EVT_${p}`)).toMatchObject({
      subjects: [`evt.${p}.>`],
      retention: 'limits',
      discard: 'old',
      max_age: nanos(7 * day),
      max_bytes: -1,
      allow_direct: true,
      metadata: { epoch: 'e1' },
    });
    expect(await config('MEMBERS')).toMatchObject({
      subjects: ['mbr.>'],
      max_msgs_per_subject: 1,
      max_age: 0,
    });
  });

  it('leaves an existing one as it is, with its epoch, and several at once make one', async () => {
    const results = await Promise.all(
      ['a', 'b', 'c', 'd'].map((epoch) => ensureEvtStream(writer.jsm, p, { epoch, firstSeq: 10 })),
    );
    expect(new Set(results.map(({ state }) => state.epoch)).size).toBe(1);
    const again = await ensureEvtStream(writer.jsm, p, { epoch: 'other' });
    expect(again).toMatchObject({
      created: false,
      state: { firstSeq: 10, lastSeq: 9, messages: 0, epoch: results[0]!.state.epoch },
    });
    expect((await writer.js.publish(`evt.${p}.team.t`, 'x', { expect: { lastSequence: 9 } })).seq).toBe(10);
  });

  it('keeps what an operator tuned, and refuses what breaks a promise', async () => {
    await ensureCmdStream(writer.jsm, p);
    await writer.jsm.streams.update(`CMD_${p}`, { max_bytes: 5_000_000 });
    await ensureCmdStream(writer.jsm, p);
    expect((await writer.jsm.streams.info(`CMD_${p}`)).config.max_bytes).toBe(5_000_000);
    await writer.jsm.streams.update(`CMD_${p}`, { max_age: nanos(day) });
    await expect(ensureCmdStream(writer.jsm, p)).rejects.toMatchObject({
      code: 'STREAM_INCOMPATIBLE',
      message: expect.stringContaining('max_age') as string,
    });
  });
});

describe('reading a stream', () => {
  it('answers that it is missing as a value, and that nobody answers as a fault', async () => {
    expect(await streamState(gateway.jsm, `EVT_${p}`)).toEqual({ exists: false });
    expect(await getMessage(gateway.jsm, `EVT_${p}`, { seq: 1 })).toBeUndefined();
    await pauseWhole(server);
    try {
      await expect(streamState(gateway.jsm, `EVT_${p}`)).rejects.toThrow();
    } finally {
      server.resume();
    }
  }, 20_000);

  it('gets one message by sequence or the last of a subject', async () => {
    await ensureEvtStream(writer.jsm, p, { epoch: 'e' });
    for (const [scope, text] of [
      ['t', '1'],
      ['u_a', '2'],
      ['t', '3'],
    ] as const) {
      await writer.js.publish(`evt.${p}.team.${scope}`, text, { msgID: `id${text}` });
    }
    const bySeq = await getMessage(gateway.jsm, `EVT_${p}`, { seq: 2 });
    expect(bySeq).toMatchObject({ seq: 2, subject: `evt.${p}.team.u_a` });
    expect(bySeq!.header('Nats-Msg-Id')).toBe('id2');
    const last = await getMessage(gateway.jsm, `EVT_${p}`, { lastBySubject: `evt.${p}.team.t` });
    expect([last!.seq, Buffer.from(last!.data).toString()]).toEqual([3, '3']);
    expect(await getMessage(gateway.jsm, `EVT_${p}`, { seq: 9 })).toBeUndefined();
    expect(await getMessage(gateway.jsm, `EVT_${p}`, { lastBySubject: `evt.${p}.none.t` })).toBeUndefined();
    await writer.jsm.streams.deleteMessage(`EVT_${p}`, 2);
    expect(await getMessage(gateway.jsm, `EVT_${p}`, { seq: 2 })).toBeUndefined();
    expect(await streamState(gateway.jsm, `EVT_${p}`)).toMatchObject({
      exists: true,
      firstSeq: 1,
      lastSeq: 3,
      messages: 2,
    });
  });

  it('gets a range of one subject, bounded by count and by bytes, and tells how much is behind it', async () => {
    await ensureEvtStream(writer.jsm, p, { epoch: 'e' });
    for (let i = 1; i <= 40; i++)
      await writer.js.publish(`evt.${p}.team.${i % 2 === 0 ? 't' : 'u_a'}`, Buffer.alloc(1_000, 'x'));
    const subject = `evt.${p}.team.t`;
    const get = async (fromSeq: number, maxCount: number, maxBytes = 1e6) => {
      const { messages, pendingCount } = await getBySubjectFrom(gateway.jsm, `EVT_${p}`, {
        subject,
        fromSeq,
        maxCount,
        maxBytes,
      });
      return { seqs: messages.map(({ seq }) => seq), pendingCount };
    };
    expect(await get(1, 5)).toEqual({ seqs: [2, 4, 6, 8, 10], pendingCount: 15 });
    expect(await get(35, 100)).toEqual({ seqs: [36, 38, 40], pendingCount: 0 });
    expect(await get(41, 100)).toEqual({ seqs: [], pendingCount: 0 });
    expect(await get(1_000, 100)).toEqual({ seqs: [], pendingCount: 0 });
    const byBytes = await get(1, 100, 3_500);
    expect(byBytes.seqs.length).toBeGreaterThan(0);
    expect(byBytes.seqs.length).toBeLessThan(6);
    expect(byBytes.pendingCount).toBe(20 - byBytes.seqs.length);
  });

  it('leaves no subscription behind, whatever the range was', async () => {
    await ensureEvtStream(writer.jsm, p, { epoch: 'e' });
    for (let i = 1; i <= 5; i++) await writer.js.publish(`evt.${p}.team.t`, 'x');
    const subscriptions = async (): Promise<number> => {
      await gateway.nc.flush();
      const { connections } = (await (await fetch(`${server.monitorUrl}/connz?auth=1`)).json()) as {
        connections: { authorized_user: string; subscriptions: number }[];
      };
      return connections.find((connection) => connection.authorized_user === 'gateway')!.subscriptions;
    };
    const read = (stream: string, fromSeq: number) =>
      getBySubjectFrom(gateway.jsm, stream, {
        subject: `evt.${p}.team.t`,
        fromSeq,
        maxCount: 3,
        maxBytes: 1e6,
        timeoutMs: 500,
      });
    await read(`EVT_${p}`, 1);
    const before = await subscriptions();
    for (let i = 0; i < 10; i++) {
      await read(`EVT_${p}`, 1);
      await read(`EVT_${p}`, 100);
      await expect(read('EVT_999', 1)).rejects.toThrow();
    }
    expect(await subscriptions()).toBe(before);
  });
});
