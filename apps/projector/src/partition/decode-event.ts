/**
 * Bytes of `EVT_<p>` or of `event_log`, of any version ever written → an event of today. What it does not understand it
 * must not skip: the partition halts (EventFault) until a projector that knows the type is deployed.
 */

import { createHash } from 'node:crypto';
import { partitionOf } from '@chat/contracts/ids';
import { parseEvtSubject } from '@chat/contracts/subjects';
import { type StoredEvent, upcast } from '@chat/contracts/upcast';
import type { TraceSpan } from '@chat/platform/tracing';
import type { ReadEvent } from '@chat/read-model/port';

/** An event that cannot be understood or stands at the wrong place. Never skipped. */
export class EventFault extends Error {
  readonly code = 'PROJECTOR_EVENT_FAULT';
}

export type RawEvent = {
  readonly seq: number;
  /** `evt.<p>.<team>.<scope>` */
  readonly subject: string;
  readonly data: Uint8Array;
  /** From the feed to the checkpoint; only when its command is traced. */
  readonly trace?: TraceSpan | undefined;
};

const decoder = new TextDecoder('utf-8', { fatal: true });

const parse = (raw: RawEvent): Partial<StoredEvent> => {
  try {
    const value: unknown = JSON.parse(decoder.decode(raw.data));
    if (typeof value === 'object' && value !== null) return value as Partial<StoredEvent>;
  } catch {
    // said below, without any part of the payload
  }
  throw new EventFault(`event ${raw.seq} is not a JSON object`);
};

/**
 * Undefined: a fact about a team that does not live in this partition (the rejection of a command that came to the wrong
 * place). It has its number, and nothing of it is to be read here.
 * Throws EventFault. The message names type and version, never content.
 */
const decodeEvent = (partition: number, raw: RawEvent): ReadEvent | undefined => {
  const address = parseEvtSubject(raw.subject);
  if (!address || address.partition !== partition) {
    throw new EventFault(`event ${raw.seq} stands under a subject that is not of partition ${partition}`);
  }
  const event = parse(raw);
  if (event.seq !== raw.seq) throw new EventFault(`event ${raw.seq} says that its seq is ${event.seq}`);
  if (partitionOf(address.teamId) !== partition) return undefined;
  const read = upcast(event as StoredEvent);
  if (read.kind !== 'read') {
    throw new EventFault(
      `event ${raw.seq} is of type ${String(event.type)} version ${String(event.v)}, which this projector does not know`,
    );
  }
  return { teamId: address.teamId, scope: address.scope, event: read.event };
};

export type DecodedBatch = {
  /** Those that precede the first fault. */
  readonly sound: readonly RawEvent[];
  /** What is to be projected of them. */
  readonly events: readonly ReadEvent[];
  readonly fault?: EventFault;
};

export const decodeBatch = (partition: number, raws: readonly RawEvent[]): DecodedBatch => {
  const events: ReadEvent[] = [];
  for (const [at, raw] of raws.entries()) {
    try {
      const event = decodeEvent(partition, raw);
      if (event !== undefined) events.push(event);
    } catch (fault) {
      if (!(fault instanceof EventFault)) throw fault;
      return { sound: raws.slice(0, at), events, fault };
    }
  }
  return { sound: raws, events };
};

/** Of an event's payload; kept with the checkpoint to tell whether a log holds the same history. */
export const payloadDigest = (data: Uint8Array): string =>
  createHash('sha256').update(data).digest('base64url').slice(0, 22);
