/**
 * How fast the two hot parts are, on a server of their own:
 *   node --conditions=@chat/source tests/platform/src/measure.ts
 * The figures in libs/platform/src/nats/*.ts come from here.
 */

import { createOrderedFeed } from '@chat/platform/nats/ordered-feed';
import { createWindowedPublisher, expectedLastSeqHeader, msgIdHeader } from '@chat/platform/nats/publisher';
import { ensureCmdStream, ensureEvtStream } from '@chat/platform/nats/streams';
import { startNats } from '@chat/testkit/servers/nats-server';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAs, inboxOf, testLog } from './nats-client.ts';

const COUNT = 400_000;
const PUBLISH_COUNT = 150_000;
const payload = new Uint8Array(200);

const timed = async (what: string, count: number, run: () => Promise<void>): Promise<void> => {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await run();
  const seconds = (performance.now() - startMs) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const line = `${what}: ${Math.round(count / seconds)}/s, ${((user + system) / count).toFixed(1)} µs of client CPU each`;
  process.stdout.write(`${line}\n`);
};

const dataDir = await mkdtemp(join(tmpdir(), 'chat-measure-'));
const server = await startNats({ dataDir });
const writer = await connectAs(server, 'writer');
const gateway = await connectAs(server, 'gateway');
await ensureEvtStream(writer.jsm, 0, { epoch: 'e' });
await ensureCmdStream(writer.jsm, 0);

const relay = createWindowedPublisher({
  nc: writer.nc,
  inboxPrefix: inboxOf('writer'),
  maxInFlight: 64,
  timeoutMs: 30_000,
});
for (const burst of [8, 32, 256]) {
  const { state } = await ensureEvtStream(writer.jsm, 0, { epoch: 'e' });
  await timed(`append as a chain, bursts of ${burst}`, COUNT / 4, async () => {
    for (let last = state.lastSeq; last < state.lastSeq + COUNT / 4; last += burst) {
      await new Promise<void>((resolve, reject) => {
        for (let i = 0; i < burst - 1; i++)
          relay.publishNoReply('evt.0.team.t', payload, expectedLastSeqHeader(last + i));
        relay.publish('evt.0.team.t', payload, expectedLastSeqHeader(last + burst - 1), (result) =>
          result.kind === 'ok' ? resolve() : reject(new Error(JSON.stringify(result))),
        );
      });
    }
  });
}

const sender = createWindowedPublisher({
  nc: gateway.nc,
  inboxPrefix: inboxOf('gateway'),
  maxInFlight: 512,
  timeoutMs: 30_000,
});
await timed(
  'publish with Nats-Msg-Id, 512 in flight',
  PUBLISH_COUNT,
  () =>
    new Promise<void>((resolve) => {
      let sent = 0;
      let acked = 0;
      const send = (): void => {
        while (
          sent < PUBLISH_COUNT &&
          sender.publish('cmd.0.team.message.send', payload, msgIdHeader(`m${sent}`), onAck)
        )
          sent++;
      };
      const onAck = (): void => {
        if (++acked === PUBLISH_COUNT) resolve();
        else send();
      };
      send();
    }),
);

const { state } = await ensureEvtStream(writer.jsm, 0, { epoch: 'e' });
for (let round = 0; round < 3; round++) {
  await timed(
    'ordered feed, 200 bytes',
    state.lastSeq,
    () =>
      new Promise<void>((resolve) => {
        const feed = createOrderedFeed({
          nc: gateway.nc,
          jsm: gateway.jsm,
          stream: 'EVT_0',
          startSeq: 1,
          namePrefix: 'measure',
          log: testLog(),
          onMessage: ({ seq, subject, data }) => {
            if (subject.length + data.length < payload.length) throw new Error('a message was cut');
            if (seq === state.lastSeq) void feed.stop().then(resolve);
          },
        });
        void feed.start();
      }),
  );
}
relay.close();
sender.close();
await writer.close();
await gateway.close();
await server.stop();
await rm(dataDir, { recursive: true, force: true });
