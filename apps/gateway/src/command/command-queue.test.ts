import { expect, it, onTestFinished } from 'vitest';
import { type TeamId, makeTeamId, parseCommandId, parseUserId } from '@chat/contracts/ids';
import { createMessageLimit } from '@chat/platform/limits/message-limit';
import { silentLogger } from '@chat/platform/log';
import type { WindowedPublisher } from '@chat/platform/nats/publisher';
import { commandKey } from '../feed/event-peek.ts';
import { Partition } from '../feed/partition.ts';
import { Session } from '../session/session.ts';
import { newStats } from '../testing/stats.ts';
import type { Socket } from '../uws-server.ts';
import { createCommandQueue } from './command-queue.ts';
import { createOutcomes } from './outcomes.ts';

const ann = parseUserId('ann')!;
const hash = 'hash000000000000';
const WINDOW_COUNT = 200;

/** A queue whose acks come when the test says so; each answers ok. */
const createRig = () => {
  const acks: (() => void)[] = [];
  const published: string[] = [];
  const publisher: WindowedPublisher = {
    publish: (subject, _payload, _headers, onAck) => {
      if (acks.length >= WINDOW_COUNT) return false;
      published.push(subject);
      acks.push(() => onAck({ kind: 'ok', stream: 'CMD_0', seq: published.length, duplicate: false }));
      return true;
    },
    publishNoReply: () => undefined,
    inFlightCount: () => acks.length,
    close: () => undefined,
  };
  const held = new Set<Partition>();
  let lookCount = 0;
  const queue = createCommandQueue({
    publisher,
    outcomes: createOutcomes({
      limit: createMessageLimit({ burstCount: 9, burstMs: 9, sustainedPerMinuteCount: 9 }),
      stats: newStats(),
      sendSoon: () => undefined,
      nowMs: () => 1,
    }),
    maxQueuedBytes: 1_000_000,
    maxInFlight: WINDOW_COUNT,
    sendWithNext: () => undefined,
    onRepeat: () => undefined,
    isHeld: (partition) => {
      lookCount += 1;
      return held.has(partition);
    },
    nowMs: () => 1,
    log: silentLogger(),
  });
  onTestFinished(queue.stop);
  const partitionOf = (index: number): Partition =>
    new Partition(index, { maxCount: 1, maxBytes: 1, maxAgeMs: 1 });
  const teamId: TeamId = makeTeamId(0, new Uint8Array(9));
  let commandCount = 0;
  /** One command of a session of its own. */
  const send = (partition: Partition, subject: string): void => {
    const session = new Session('session', {} as Socket, teamId, partition, undefined, 0);
    session.state = 'live';
    const id = parseCommandId(`018f0000-0000-7000-8000-${String((commandCount += 1)).padStart(12, '0')}`)!;
    queue.add({
      session,
      id,
      name: 'message.send',
      hash,
      key: commandKey(id, hash, ann),
      subject,
      payload: Buffer.alloc(1),
      state: 'queued',
      takenAtMs: 0,
      attemptCount: 0,
      firstTriedAtMs: 0,
      storedAtMs: 0,
      storedSeq: 0,
      isRepeat: false,
      next: undefined,
    });
  };
  return {
    queue,
    held,
    published,
    partitionOf,
    send,
    looks: () => lookCount,
    /** The turn in which what was added is published. */
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    /** Acks what is in flight, and what follows it, until nothing is. */
    ackAll: () => {
      while (acks.length > 0) acks.shift()!();
    },
  };
};

it('who waits for a held partition costs the acks of the others nothing, and is served when it opens', async () => {
  const { queue, held, published, partitionOf, send, looks, turn, ackAll } = createRig();
  const [shut, open] = [partitionOf(0), partitionOf(1)];
  held.add(shut);
  for (let i = 0; i < 1_000; i += 1) send(shut, 'shut');
  for (let i = 0; i < 100; i += 1) send(open, 'open');
  await turn();
  const before = looks();
  ackAll();
  expect(published).toEqual(Array<string>(100).fill('open'));
  // Each waiter may be looked at once or twice, not once for each ack.
  expect(looks() - before).toBeLessThan(3_000);
  held.delete(shut);
  queue.resume();
  ackAll();
  expect(published.filter((subject) => subject === 'shut')).toHaveLength(1_000);
});

it('a partition that opens while another stays held lets only its own go', async () => {
  const { queue, held, published, partitionOf, send, turn, ackAll } = createRig();
  const [first, second] = [partitionOf(0), partitionOf(1)];
  held.add(first).add(second);
  for (let i = 0; i < 10; i += 1) {
    send(first, 'first');
    send(second, 'second');
  }
  await turn();
  held.delete(second);
  queue.resume();
  ackAll();
  expect(published).toEqual(Array<string>(10).fill('second'));
  held.delete(first);
  queue.resume();
  ackAll();
  expect(published).toHaveLength(20);
});
