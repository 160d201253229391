/**
 * Where things stand inside a `message.sent` element of the bench. All parts but `seq` and `channelSeq` have a
 * fixed width in one run (same text length, actors of one width), so that a reader hops from element to
 * element by reading some twenty digits and never the text. The offsets are taken from `encodeEvent` itself: a
 * change of the contract moves them, and the reader checks after every hop that it stands on `,` or `]`.
 */

import { encodeEvent } from '@chat/contracts/events';
import type { ChannelId, CommandId, UserId } from '@chat/contracts/ids';

export type ElementLayout = {
  /** From the end of the digits of `seq` to the first digit of `channelSeq`. */
  readonly middleBytes: number;
  /** From the end of the digits of `channelSeq` to the first character of `commandId`. */
  readonly idOffsetBytes: number;
  /** From the end of the digits of `channelSeq` to the end of the element. */
  readonly tailBytes: number;
};

export const SEQ_PREFIX_BYTES = '{"seq":'.length;
/** `performance`-independent 13-digit time, until the year 2286. */
const SAMPLE_AT_MS = 1_790_000_000_000;
const uuid = '00000000-0000-7000-8000-000000000000';

export const elementLayout = (actorLength: number, textLength: number): ElementLayout => {
  const actor = 'a'.repeat(actorLength) as UserId;
  const data = JSON.stringify({ text: 'x'.repeat(textLength) });
  const sample = encodeEvent(
    1,
    'message.sent',
    1,
    SAMPLE_AT_MS,
    uuid as ChannelId,
    1,
    uuid as CommandId,
    'h'.repeat(16),
    actor,
    data,
  );
  const channelSeqAt = sample.indexOf('"channelSeq":') + '"channelSeq":'.length;
  const afterChannelSeq = channelSeqAt + 1;
  const idAt = sample.indexOf('"commandId":"') + '"commandId":"'.length;
  return {
    middleBytes: channelSeqAt - (SEQ_PREFIX_BYTES + 1),
    idOffsetBytes: idAt - afterChannelSeq,
    tailBytes: sample.length - afterChannelSeq,
  };
};

/** Bytes of an element up to and including its command id: what must lie in one piece to read it. */
export const elementHeadBytes = (layout: ElementLayout): number =>
  SEQ_PREFIX_BYTES + 16 + layout.middleBytes + 16 + layout.idOffsetBytes + 36;
