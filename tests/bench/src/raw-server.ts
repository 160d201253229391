/**
 * The baseline's process: what uWebSockets.js does with the same bytes when nothing is stored, checked or decided.
 * Message in → queue → `setImmediate` → one joined `events` frame per channel → publish to the channel's topic
 * (publishing inside the message handler would be six times slower). It is as lean as we could make it: elements
 * have the form and size of ours, but are a template into which id, text and two numbers of fixed width are copied.
 * `hello {token: "<channelId>.<userId>"}` joins the channel.
 */

import uWS, { type WebSocket } from 'uWebSockets.js';
import { encodeEvent } from '@chat/contracts/events';
import { EVENTS_PREFIX, EVENTS_SUFFIX } from '@chat/contracts/frames';
import type { ChannelId, CommandId, UserId } from '@chat/contracts/ids';

/** Elements queued for one channel in one turn of the loop; one more flushes at once. */
const FRAME_MAX_BYTES = 1024 * 1024;
/** Both numbers begin here, so that they have one width for ever (10⁸ messages). */
const FIRST_NUMBER = 100_000_000;
const NUMBER_DIGITS = 9;
const UUID_LENGTH = 36;

type Channel = { readonly topic: string; seq: number; readonly frame: Buffer; frameBytes: number };
/** A session's element as it stands before id, text and numbers are copied in; `undefined` before hello. */
type Template = { readonly channel: Channel; readonly bytes: Buffer; readonly at: Offsets };
type Offsets = {
  readonly seq: number;
  readonly channelSeq: number;
  readonly id: number;
  readonly data: number;
};
type Session = { template: Template | undefined };

const ID_AT = '{"t":"cmd","id":"'.length;
const TEXT_AT =
  ID_AT +
  UUID_LENGTH +
  '","name":"message.send","data":{"channelId":"'.length +
  UUID_LENGTH +
  '","text":"'.length;

const channels = new Map<string, Channel>();
let dirty: Channel[] = [];
let seq = FIRST_NUMBER;

const app = uWS.App();

const publish = (channel: Channel): void => {
  channel.frameBytes += channel.frame.write(EVENTS_SUFFIX, channel.frameBytes, 'latin1');
  app.publish(channel.topic, channel.frame.subarray(0, channel.frameBytes), false);
  channel.frameBytes = 0;
};

const flush = (): void => {
  const batch = dirty;
  dirty = [];
  for (const channel of batch) publish(channel);
};

const channelOf = (topic: string): Channel => {
  const known = channels.get(topic);
  if (known) return known;
  const made = { topic, seq: FIRST_NUMBER, frame: Buffer.alloc(FRAME_MAX_BYTES), frameBytes: 0 };
  channels.set(topic, made);
  return made;
};

const makeTemplate = (channel: Channel, userId: string): Template => {
  const zeroId = '00000000-0000-7000-8000-000000000000' as CommandId;
  const topic = channel.topic as ChannelId;
  const element = encodeEvent(
    FIRST_NUMBER,
    'message.sent',
    1,
    Date.now(),
    topic,
    FIRST_NUMBER,
    zeroId,
    'raw-baseline-hsh',
    userId as UserId,
    '{"text":"',
  ).slice(0, -1);
  const after = (mark: string): number => element.indexOf(mark) + mark.length;
  return {
    channel,
    bytes: Buffer.from(element),
    at: {
      seq: after('"seq":'),
      channelSeq: after('"channelSeq":'),
      id: after('"commandId":"'),
      data: element.length,
    },
  };
};

const writeNumber = (bytes: Buffer, at: number, value: number): void => {
  let rest = value;
  for (let p = at + NUMBER_DIGITS - 1; p >= at; p -= 1) {
    const next = Math.floor(rest / 10);
    bytes[p] = 48 + rest - next * 10;
    rest = next;
  }
};

/** For the test of the load client's own checks: every 50th message of a channel is lost or doubled on purpose. */
const mischief = process.env.RAW_MISCHIEF;
const MISCHIEF_EVERY_COUNT = 50;

const onCommand = (template: Template, message: Uint8Array): void => {
  const { channel } = template;
  channel.seq += 1;
  const isHit = mischief !== undefined && channel.seq % MISCHIEF_EVERY_COUNT === 0;
  if (isHit && mischief === 'lose') return;
  queue(template, message);
  if (isHit && mischief === 'double') queue(template, message);
};

const queue = ({ channel, bytes, at }: Template, message: Uint8Array): void => {
  const { frame } = channel;
  const tail = message.subarray(TEXT_AT);
  if (channel.frameBytes + bytes.length + tail.length + 8 > FRAME_MAX_BYTES) publish(channel);
  if (channel.frameBytes === 0) {
    if (dirty.length === 0) setImmediate(flush);
    dirty.push(channel);
    channel.frameBytes = frame.write(EVENTS_PREFIX, 0, 'latin1');
  } else frame[channel.frameBytes++] = 44;
  const start = channel.frameBytes;
  frame.set(bytes, start);
  frame.set(message.subarray(ID_AT, ID_AT + UUID_LENGTH), start + at.id);
  writeNumber(frame, start + at.seq, (seq += 1));
  writeNumber(frame, start + at.channelSeq, channel.seq);
  frame.set(tail, start + at.data);
  channel.frameBytes = start + at.data + tail.length;
};

const hello = (ws: WebSocket<Session>, message: ArrayBuffer): void => {
  const { token } = JSON.parse(Buffer.from(message).toString()) as { token: string };
  const [topic, userId] = token.split('.');
  const channel = channelOf(topic!);
  ws.getUserData().template = makeTemplate(channel, userId!);
  ws.subscribe(topic!);
  ws.send('{"t":"welcome"}');
};

app.ws<Session>('/*', {
  maxPayloadLength: 64 * 1024,
  maxBackpressure: 64 * 1024 * 1024,
  idleTimeout: 0,
  open: (ws) => (ws.getUserData().template = undefined),
  message: (ws, message) => {
    const { template } = ws.getUserData();
    if (template) onCommand(template, new Uint8Array(message));
    else hello(ws, message);
  },
  dropped: () => process.send?.({ kind: 'dropped' }),
});

app.listen('127.0.0.1', 0, (socket) => {
  if (!socket) throw new Error('the raw server cannot listen');
  process.send?.({ kind: 'listening', port: uWS.us_socket_local_port(socket) });
});
process.on('disconnect', () => process.exit());
