/**
 * One closed loop of `inFlightCount` senders with one message under way each: when a sender sees its own message come
 * back in its channel, it sends the next.
 *
 * Checked for every delivery: it is the next of its channel (no gap, no double, no disorder). At the end: every
 * member has as many as its channel was sent. States: idle → warmup → measuring → draining.
 */

import { performance } from 'node:perf_hooks';
import { elementLayout } from './element-layout.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { type Histogram, createHistogram } from './histogram.ts';
import {
  CHANNEL_WINDOW_COUNT,
  type Member,
  NUMBER_AT,
  NUMBER_DIGITS,
  chooseSenders,
  makeMembers,
} from './load-members.ts';
import { FAULTS_KEPT_COUNT, type Latency, type LoadPlan, type LoadResult } from './load-plan.ts';
import { clientFrame, openMemberSocket } from './member-socket.ts';

/** Send times kept, by message number. */
const SENT_WINDOW_COUNT = 1 << 20;
const DRAIN_TIMEOUT_MS = 15_000;
const PERSISTED_HEAD = '{"t":"persisted","id":"';

export type LoadRun = {
  connect(): Promise<void>;
  /** Warm-up, measurement and drain; `onPhase` tells the caller when to read the clocks of the processes. */
  run(onPhase: (phase: 'measuring' | 'measured') => void): Promise<LoadResult>;
  close(): void;
};

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const numberOf = (digits: string): number => Number.parseInt(digits, 16);
const latency = (of: Histogram): Latency => ({ p50Ms: of.quantileMs(0.5), p99Ms: of.quantileMs(0.99) });

export const createLoadRun = (plan: LoadPlan): LoadRun => {
  const byChannel = makeMembers(plan);
  const members = byChannel.flat();
  const senders = chooseSenders(byChannel, plan.senders, plan.inFlightCount);
  const layout = elementLayout(members[0]!.planned.userId.length, plan.textBytes);
  const sentAtMs = new Float64Array(SENT_WINDOW_COUNT);
  const toPersisted = createHistogram();
  const toOwnEvent = createHistogram();
  const toLastMember = createHistogram();
  const faults: string[] = [];

  let nowMs = 0;
  let phase: 'idle' | 'warmup' | 'measuring' | 'draining' = 'idle';
  let lastNumber = 0;
  let deliveredCount = 0;
  let completedCount = 0;
  let retriedCount = 0;
  let underWayCount = 0;
  let isClosing = false;

  const fault = (what: string): void => {
    if (faults.length < FAULTS_KEPT_COUNT && !isClosing) faults.push(what);
  };

  const ageUs = (number: number): number => (nowMs - sentAtMs[number % SENT_WINDOW_COUNT]!) * 1000;

  const write = (member: Member): void => {
    // The frame may be written over: this member's last one came back, so all its bytes had been read.
    member.frame.write(member.underWay.toString(16).padStart(NUMBER_DIGITS, '0'), member.numberAt, 'latin1');
    member.socket!.write(member.frame);
  };

  const send = (member: Member): void => {
    member.underWay = lastNumber += 1;
    member.channel.sentCount += 1;
    underWayCount += 1;
    sentAtMs[member.underWay % SENT_WINDOW_COUNT] = performance.now();
    write(member);
  };

  const cameBack = (member: Member): void => {
    if (phase === 'measuring') {
      completedCount += 1;
      toOwnEvent.record(ageUs(member.underWay));
    }
    member.underWay = 0;
    underWayCount -= 1;
    if (phase === 'warmup' || phase === 'measuring') send(member);
  };

  const onMessage = (member: Member, channelSeq: number, bytes: Buffer, idAt: number): void => {
    if (channelSeq !== member.lastChannelSeq + 1 && member.lastChannelSeq >= 0)
      fault(`message ${channelSeq} of a channel came after ${member.lastChannelSeq}`);
    member.lastChannelSeq = channelSeq;
    member.deliveredCount += 1;
    deliveredCount += 1;
    const { seen, numbers, memberCount } = member.channel;
    const slot = channelSeq % CHANNEL_WINDOW_COUNT;
    if (channelSeq > member.channel.lastChannelSeq) {
      // The first to get a message reads its number for all.
      member.channel.lastChannelSeq = channelSeq;
      if (seen[slot] !== 0) fault(`a member is more than ${CHANNEL_WINDOW_COUNT} messages behind another`);
      numbers[slot] = numberOf(bytes.toString('latin1', idAt + NUMBER_AT, idAt + 36));
    }
    const count = seen[slot]! + 1;
    const number = numbers[slot]!;
    seen[slot] = count === memberCount ? 0 : count;
    if (count === memberCount && phase === 'measuring') toLastMember.record(ageUs(number));
    if (member.underWay === number) cameBack(member);
  };

  /** `rejected` that may be tried again is sent again; everything else that is not expected is a fault. */
  const onRareFrame = (member: Member, json: string): void => {
    const frame = JSON.parse(json) as {
      t: string;
      code?: string;
      retryable?: boolean;
      retryAfterMs?: number;
    };
    if (frame.t === 'rejected' && frame.retryable) {
      retriedCount += 1;
      setTimeout(() => write(member), frame.retryAfterMs ?? 50);
    } else if (frame.t !== 'accepted' && frame.t !== 'tick') fault(json.slice(0, 200));
  };

  const onFrame = (member: Member, json: string, onWelcome: () => void): void => {
    if (json.startsWith(PERSISTED_HEAD)) {
      const at = PERSISTED_HEAD.length;
      if (phase === 'measuring') toPersisted.record(ageUs(numberOf(json.slice(at + NUMBER_AT, at + 36))));
    } else if (json.startsWith('{"t":"welcome"')) onWelcome();
    else if (!json.startsWith('{"t":"accepted"')) onRareFrame(member, json);
  };

  const open = (member: Member): Promise<void> =>
    new Promise((resolve, reject) => {
      const { path, token } = member.planned;
      const failed = (what: string): void => {
        fault(what);
        reject(new Error(what));
      };
      const sink: FrameSink = {
        onOpen: () =>
          member.socket!.write(clientFrame(JSON.stringify({ t: 'hello', token, device: 'bench' }))),
        onMessage: (channelSeq, bytes, idAt) => onMessage(member, channelSeq, bytes, idAt),
        onOtherEvent: () => undefined,
        onFrame: (json) => onFrame(member, json, resolve),
        onClose: (code, reason) => failed(`closed ${code} ${reason}`),
        onFault: failed,
      };
      const reader = new FrameReader(sink, layout);
      const target = { host: plan.host, port: plan.port, path };
      member.socket = openMemberSocket(target, reader, sink, () => (nowMs = performance.now()));
    });

  /** Every member of every channel has every message, or the time is up and each shortfall is a fault. */
  const drain = async (): Promise<void> => {
    const isBehind = (member: Member): boolean => member.deliveredCount !== member.channel.sentCount;
    const endMs = performance.now() + DRAIN_TIMEOUT_MS;
    while (performance.now() < endMs && faults.length === 0 && (underWayCount > 0 || members.some(isBehind)))
      await wait(20);
    for (const member of members.filter(isBehind))
      fault(`a member got ${member.deliveredCount} of ${member.channel.sentCount} messages`);
  };

  const measure = async (onPhase: (phase: 'measuring' | 'measured') => void) => {
    phase = 'warmup';
    for (const sender of senders) send(sender);
    await wait(plan.warmupMs);
    onPhase('measuring');
    const startMs = performance.now();
    const deliveredBeforeCount = deliveredCount;
    phase = 'measuring';
    await wait(plan.measureMs);
    phase = 'draining';
    const seconds = (performance.now() - startMs) / 1000;
    onPhase('measured');
    return { seconds, messageCount: completedCount, deliveryCount: deliveredCount - deliveredBeforeCount };
  };

  return {
    async connect() {
      const waiting = [...members];
      const worker = async (): Promise<void> => {
        for (let member = waiting.pop(); member; member = waiting.pop()) await open(member);
      };
      await Promise.all(Array.from({ length: plan.connectingMaxCount }, worker));
    },
    async run(onPhase) {
      const measured = await measure(onPhase);
      await drain();
      return {
        ...measured,
        toPersisted: latency(toPersisted),
        toOwnEvent: latency(toOwnEvent),
        toLastMember: latency(toLastMember),
        sentCount: lastNumber,
        deliveredCount,
        expectedDeliveryCount: members.reduce((sum, member) => sum + member.channel.sentCount, 0),
        retriedCount,
        faults,
      };
    },
    close() {
      isClosing = true;
      for (const member of members) member.socket?.destroy();
    },
  };
};
