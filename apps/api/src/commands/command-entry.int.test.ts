import { type CommandId, type UserId, makeTeamId } from '@chat/contracts/ids';
import { outcomeSubject } from '@chat/contracts/subjects';
import type { OutcomeRequest } from '@chat/contracts/events';
import { systemClock } from '@chat/platform/clock';
import { createLogger } from '@chat/platform/log';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { createWindowedPublisher } from '@chat/platform/nats/publisher';
import { ensureCmdStream } from '@chat/platform/nats/streams';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { testNats } from '@chat/testkit/servers/servers';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createCommandEntry } from './command-entry.ts';

const partition = 1;
const teamId = makeTeamId(partition, new Uint8Array(9));
const log = createLogger({ app: 'test', instance: 'api', level: 'silent' });
const ids = ['0190a000-0000-7000-8000-000000000001', '0190a000-0000-7000-8000-000000000002'] as CommandId[];

let nats: NatsServer;
let api: NatsHandle;
let writer: NatsHandle;
beforeAll(async () => {
  nats = await testNats();
  const connect = (role: 'api' | 'writer') =>
    connectNats({
      servers: [nats.url],
      ...nats.credentials[role],
      name: `test ${role}`,
      inboxPrefix: `_INBOX_${role}`,
      log,
    });
  api = await connect('api');
  writer = await connect('writer');
  await ensureCmdStream(writer.jsm, partition);
  // What the owner says: each command's first send won, whatever came after it.
  const seqOf = new Map(ids.map((id, at) => [id, at + 1]));
  writer.nc.subscribe(outcomeSubject(partition), {
    callback: (_, msg) => {
      const { commandId } = msg.json<OutcomeRequest>();
      const cmdSeq = seqOf.get(commandId);
      const event = {
        seq: 1,
        type: 'message.sent',
        v: 1,
        at: 0,
        commandId,
        actor: 'ann',
        data: { text: '' },
      };
      msg.respond(JSON.stringify({ kind: 'persisted', seq: 1, cmdSeq, event }));
    },
  });
});
afterAll(async () => {
  await api.close();
  await writer.close();
  await nats[Symbol.asyncDispose]();
});

it('a send whose own first publish got no answer in time is new; a repeat of it is not', async () => {
  const timeoutMs = 150;
  const publisher = createWindowedPublisher({
    nc: api.nc,
    inboxPrefix: '_INBOX_api',
    maxInFlight: 16,
    timeoutMs,
  });
  let answered = 0;
  const counting: typeof publisher = {
    ...publisher,
    publish: (subject, payload, headers, onAck) =>
      publisher.publish(subject, payload, headers, (result) => {
        answered += 1;
        onAck(result);
      }),
  };
  const entry = createCommandEntry({
    nats: api,
    publisher: counting,
    waitMs: 10_000,
    clock: systemClock,
    log,
  });
  const wish = { teamId, actor: 'ann' as UserId, name: 'message.send', dataJson: '{}' } as const;
  const submit = (id: CommandId) => entry.submit({ ...wish, id });
  expect(await submit(ids[0]!)).toMatchObject({ kind: 'persisted', isNew: true });
  expect(await submit(ids[0]!)).toMatchObject({ kind: 'persisted', isNew: false });

  nats.pause();
  const doubtful = submit(ids[1]!);
  await vi.waitFor(() => expect(answered).toBe(3), { timeout: 5_000, interval: 5 });
  nats.resume();
  expect(await doubtful).toMatchObject({ kind: 'persisted', isNew: true });
  expect(await submit(ids[1]!)).toMatchObject({ kind: 'persisted', isNew: false });
  publisher.close();
});
