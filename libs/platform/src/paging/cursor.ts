/**
 * Opaque cursors of lists that are paged by a key: `base64url(digest ‖ version direction position)`. The digest binds a
 * cursor to its version, list (kind, team, channel, …) and direction, so that one of another list, an altered one and
 * one of another version are all told from a good one: nothing is read by it, and the asker begins again without it.
 *
 * It is a checksum, no signature, and the position is no secret: who makes up a cursor asks for what `before` and
 * `after` would have given, and every query checks again what its asker may see.
 */

import { createHash } from 'node:crypto';

export type CursorDirection = 'before' | 'after';
export type CursorPosition = {
  readonly direction: CursorDirection;
  /** The key of the list at which the page begins, exclusive. */
  readonly position: string;
};
/** The list a cursor belongs to: its kind, then what names this one (team, channel, what is searched for, …). */
export type CursorList = readonly [kind: string, ...names: string[]];

/** Of the encoded cursor. */
export const CURSOR_MAX_LENGTH = 200;
/** Room for the position in that, in bytes of UTF-8. */
export const CURSOR_POSITION_MAX_BYTES = 138;

/** Raised when a position comes to mean something else; cursors of before are then refused. */
const VERSION = '1';
const DIGEST_BYTES = 9;
const letters = { before: 'b', after: 'a' } as const;

const digestOf = (list: CursorList, content: string): Buffer =>
  createHash('sha256')
    .update(JSON.stringify([...list, content]))
    .digest()
    .subarray(0, DIGEST_BYTES);

/** Throws RangeError on a position that is too long: keys of lists are bounded. */
export const encodeCursor = (list: CursorList, { direction, position }: CursorPosition): string => {
  if (Buffer.byteLength(position) > CURSOR_POSITION_MAX_BYTES)
    throw new RangeError('the position of a cursor is too long');
  const content = `${VERSION}${letters[direction]}${position}`;
  return Buffer.concat([digestOf(list, content), Buffer.from(content)]).toString('base64url');
};

/** Undefined for whatever `encodeCursor` did not make for this list in this version. */
export const decodeCursor = (list: CursorList, cursor: string): CursorPosition | undefined => {
  if (cursor.length > CURSOR_MAX_LENGTH) return undefined;
  const bytes = Buffer.from(cursor, 'base64url');
  // Only the one way to write these bytes: the decoder skips what is no base64.
  if (bytes.toString('base64url') !== cursor) return undefined;
  const content = bytes.subarray(DIGEST_BYTES).toString('utf8');
  if (!digestOf(list, content).equals(bytes.subarray(0, DIGEST_BYTES))) return undefined;
  const [version, letter] = content;
  if (version !== VERSION) return undefined;
  const position = content.slice(2);
  if (letter === letters.before) return { direction: 'before', position };
  return letter === letters.after ? { direction: 'after', position } : undefined;
};
