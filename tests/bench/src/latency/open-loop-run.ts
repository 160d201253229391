/**
 * Open loop: message n is due at start + n / rate, whatever the server does, and every latency counts from there
 * (a server that stalls is charged for all that should have been sent meanwhile). The number of a message says its
 * channel, its sender and when it was due, so nothing is remembered per message but how many members have it.
 *
 * Checked: every member's messages of a channel are consecutive; at the end every message has reached every member.
 */

import { performance } from 'node:perf_hooks';
import type { Socket } from 'node:net';
import { elementLayout } from '../element-layout.ts';
import { FrameReader, type FrameSink } from '../frame-reader.ts';
import { type Histogram, createHistogram } from '../histogram.ts';
import { NUMBER_AT, NUMBER_DIGITS } from '../load-members.ts';
import { FAULTS_KEPT_COUNT } from '../load-plan.ts';
import { clientFrame, openMemberSocket } from '../member-socket.ts';
import type { OpenLoopPlan, OpenLoopResult, OpenLoopSocket, Quantiles } from './open-loop-plan.ts';

const DRAIN_TIMEOUT_MS = 20_000;
const RETRY_MS = 50;
const PERSISTED_HEAD = '{"t":"persisted","id":"';
const REJECTED_HEAD = '{"t":"rejected"';

type Client = {
  readonly planned: OpenLoopSocket;
  socket: Socket | undefined;
  /** By channel index: the last `channelSeq`. */
  readonly lastChannelSeq: Map<number, number>;
};

export type OpenLoopRun = {
  connect(): Promise<void>;
  run(onPhase: (phase: 'measuring' | 'measured') => void): Promise<OpenLoopResult>;
  close(): void;
};

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const quantiles = (of: Histogram): Quantiles => ({
  p50Ms: of.quantileMs(0.5),
  p99Ms: of.quantileMs(0.99),
  p999Ms: of.quantileMs(0.999),
});

/** 28 digits that all ids of a run share; the message number follows. */
const runIdPrefix = (nowMs: number): string => {
  const time = nowMs.toString(16).padStart(12, '0');
  const random = Math.floor(Math.random() * 0xfff).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.padStart(3, '0')}-8000-0000`;
};

export const createOpenLoopRun = (plan: OpenLoopPlan): OpenLoopRun => {
  const { channels, perSecond } = plan;
  const layout = elementLayout(plan.userIdLength, plan.textBytes);
  const text = 'A message of the open loop of the bench. '.repeat(300).slice(0, plan.textBytes);
  const idPrefix = runIdPrefix(Date.now());
  const firstMeasured = Math.round((plan.warmupMs * perSecond) / 1000);
  const totalCount = Math.round(((plan.warmupMs + plan.measureMs) * perSecond) / 1000);
  const deliveriesOf = new Uint16Array(totalCount);
  const persisted = createHistogram();
  const ownEvent = createHistogram();
  const lastMember = createHistogram();
  const writeLag = createHistogram();
  const faults: string[] = [];
  const makeClient = (planned: OpenLoopSocket): Client => ({
    planned,
    socket: undefined,
    lastChannelSeq: new Map(),
  });
  const clients = plan.sockets.map(makeClient);
  const idle = plan.idleSockets.map(makeClient);

  let startMs = 0;
  let nowMs = 0;
  let sentCount = 0;
  let deliveredCount = 0;
  let expectedDeliveryCount = 0;
  let retriedCount = 0;
  let isClosing = false;

  const fault = (what: string): void => {
    if (faults.length < FAULTS_KEPT_COUNT && !isClosing) faults.push(what);
  };
  const channelOf = (number: number) => channels[number % channels.length]!;
  const senderOf = (number: number): Client => {
    const { members } = channelOf(number);
    return clients[members[Math.floor(number / channels.length) % members.length]!]!;
  };
  const dueMs = (number: number): number => startMs + (number * 1000) / perSecond;
  const record = (histogram: Histogram, number: number): void => {
    if (number >= firstMeasured) histogram.record((nowMs - dueMs(number)) * 1000);
  };

  const write = (number: number): void => {
    const id = idPrefix + number.toString(16).padStart(NUMBER_DIGITS, '0');
    const data = `{"channelId":"${channelOf(number).channelId}","text":"${text}"}`;
    senderOf(number).socket!.write(
      clientFrame(`{"t":"cmd","id":"${id}","name":"message.send","data":${data}}`),
    );
  };

  const onMessage = (client: Client, channelSeq: number, bytes: Buffer, idAt: number): void => {
    const number = Number.parseInt(bytes.toString('latin1', idAt + NUMBER_AT, idAt + 36), 16);
    if (!(number < totalCount)) return fault(`message ${number} was never sent`);
    const channel = number % channels.length;
    const last = client.lastChannelSeq.get(channel);
    if (last !== undefined && channelSeq !== last + 1)
      fault(`message ${channelSeq} of a channel came after ${last}`);
    client.lastChannelSeq.set(channel, channelSeq);
    deliveredCount += 1;
    const count = (deliveriesOf[number] = deliveriesOf[number]! + 1);
    if (client === senderOf(number)) record(ownEvent, number);
    if (count === channelOf(number).members.length) record(lastMember, number);
  };

  const onRejected = (json: string): void => {
    const { id, retryable, retryAfterMs } = JSON.parse(json) as {
      id: string;
      retryable?: boolean;
      retryAfterMs?: number;
    };
    if (!retryable) return fault(json.slice(0, 200));
    retriedCount += 1;
    setTimeout(() => write(Number.parseInt(id.slice(NUMBER_AT), 16)), retryAfterMs ?? RETRY_MS);
  };

  const onFrame = (json: string, onWelcome: () => void): void => {
    if (json.startsWith(PERSISTED_HEAD)) {
      const at = PERSISTED_HEAD.length + NUMBER_AT;
      record(persisted, Number.parseInt(json.slice(at, at + NUMBER_DIGITS), 16));
    } else if (json.startsWith('{"t":"welcome"')) onWelcome();
    else if (json.startsWith(REJECTED_HEAD)) onRejected(json);
    else if (!json.startsWith('{"t":"accepted"') && !json.startsWith('{"t":"tick"'))
      fault(json.slice(0, 200));
  };

  const open = (client: Client): Promise<void> =>
    new Promise((resolve, reject) => {
      const failed = (what: string): void => {
        fault(what);
        reject(new Error(what));
      };
      const hello = JSON.stringify({ t: 'hello', token: client.planned.token, device: 'bench' });
      const sink: FrameSink = {
        onOpen: () => client.socket!.write(clientFrame(hello)),
        onMessage: (channelSeq, bytes, idAt) => onMessage(client, channelSeq, bytes, idAt),
        onOtherEvent: () => undefined,
        onFrame: (json) => onFrame(json, resolve),
        onClose: (code, reason) => failed(`closed ${code} ${reason}`),
        onFault: failed,
      };
      const target = { host: plan.host, port: plan.port, path: client.planned.path };
      const reader = new FrameReader(sink, layout);
      client.socket = openMemberSocket(target, reader, sink, () => (nowMs = performance.now()));
    });

  /** Writes all that is due, again and again, until the schedule is over. */
  const follow = async (onMeasuring: () => void): Promise<void> => {
    startMs = performance.now();
    while (sentCount < totalCount) {
      for (; sentCount < totalCount && dueMs(sentCount) <= performance.now(); sentCount += 1) {
        if (sentCount === firstMeasured) onMeasuring();
        if (sentCount >= firstMeasured) writeLag.record((performance.now() - dueMs(sentCount)) * 1000);
        expectedDeliveryCount += channelOf(sentCount).members.length;
        write(sentCount);
      }
      await wait(1);
    }
  };

  const drain = async (): Promise<void> => {
    const endMs = performance.now() + DRAIN_TIMEOUT_MS;
    while (performance.now() < endMs && faults.length === 0 && deliveredCount < expectedDeliveryCount)
      await wait(20);
    const shortOf = (count: number, number: number): boolean => count !== channelOf(number).members.length;
    const shortCount = deliveriesOf.filter(shortOf).length;
    if (shortCount > 0) fault(`${shortCount} messages did not reach every member once`);
  };

  return {
    async connect() {
      const waiting = [...clients, ...idle];
      const worker = async (): Promise<void> => {
        for (let client = waiting.pop(); client; client = waiting.pop()) await open(client);
      };
      await Promise.all(Array.from({ length: plan.connectingMaxCount }, worker));
    },
    async run(onPhase) {
      let measuringMs = 0;
      await follow(() => {
        measuringMs = performance.now();
        onPhase('measuring');
      });
      const seconds = (performance.now() - measuringMs) / 1000;
      onPhase('measured');
      await drain();
      return {
        messageCount: totalCount - firstMeasured,
        seconds,
        toPersisted: quantiles(persisted),
        toOwnEvent: quantiles(ownEvent),
        toLastMember: quantiles(lastMember),
        writeLag: quantiles(writeLag),
        sentCount,
        deliveredCount,
        expectedDeliveryCount,
        retriedCount,
        faults,
      };
    },
    close() {
      isClosing = true;
      for (const { socket } of [...clients, ...idle]) socket?.destroy();
    },
  };
};
