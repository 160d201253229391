/**
 * Reads what a gateway needs from an encoded event without parsing its JSON. Relies on the key order of
 * `encodeEvent` in @chat/contracts (pinned by event-peek.test.ts): everything before `data` is ids and numbers,
 * so no text of a user can look like one of these marks.
 */

import type { CommandId, UserId } from '@chat/contracts/ids';

/** `data` begins within this many bytes: the longest ids and numbers come to about 330. */
const HEAD_MAX_BYTES = 420;
const SEQ_AT = 7; // behind `{"seq":`
const COMMAND_MARK = '"commandId":"';
const ACTOR_MARK = '"actor":"';
const TYPE_MARK = '"type":"';

/** Buffer's own method behind `toString('latin1', …)`, without its detours; @types/node leaves it out. */
export const latin1Slice = (bytes: Buffer, from: number, to: number): string =>
  (bytes as Buffer & { latin1Slice(from: number, to: number): string }).latin1Slice(from, to);

/** The number behind `{"seq":`, or -1 when the bytes do not begin so. */
export const peekSeq = (bytes: Uint8Array): number => {
  if (bytes[0] !== 0x7b || bytes[2] !== 0x73 || bytes[6] !== 0x3a) return -1;
  let value = 0;
  for (let i = SEQ_AT; i < bytes.length; i += 1) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return i > SEQ_AT && digit === -4 ? value : -1; // ends at a comma
    value = value * 10 + digit;
  }
  return -1;
};

/** The part of an event before `data`, as latin1 (it is ASCII). */
export const peekHead = (bytes: Buffer): string =>
  latin1Slice(bytes, 0, bytes.length < HEAD_MAX_BYTES ? bytes.length : HEAD_MAX_BYTES);

/**
 * Names a command across its wish and its event: the very bytes between `"commandId":"` and `","data":`, so that
 * looking up a pending command costs one slice and no concatenation.
 */
export const commandKey = (id: CommandId, hash: string, actor: UserId): string =>
  `${id}","hash":"${hash}","actor":"${actor}`;

/** The `commandKey` of the command that caused the event; empty when there is none. */
export const peekCommandKey = (head: string): string => {
  const at = head.indexOf(COMMAND_MARK);
  if (at < 0) return '';
  const from = at + COMMAND_MARK.length;
  const to = head.indexOf('","data":', from);
  return to < 0 ? '' : head.slice(from, to);
};

/** The actor within a `commandKey`. */
export const actorOfKey = (key: string): UserId => {
  const at = key.lastIndexOf(ACTOR_MARK);
  return (at < 0 ? '' : key.slice(at + ACTOR_MARK.length)) as UserId;
};

/** Whether the event is of this type. */
export const peekIsType = (head: string, type: string): boolean => {
  const at = head.indexOf(TYPE_MARK) + TYPE_MARK.length;
  return head.startsWith(type, at) && head.charCodeAt(at + type.length) === 0x22;
};
