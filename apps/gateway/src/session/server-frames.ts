/** Encodes what the gateway says itself. Ids are known to be JSON-safe; whatever is not goes through JSON.stringify. */

import { type ErrorCode, errorBody } from '@chat/contracts/errors';
import type { ServerFrame } from '@chat/contracts/frames';
import type { CommandId } from '@chat/contracts/ids';

export const encodeFrame = (frame: ServerFrame): string => JSON.stringify(frame);

export const acceptedFrame = (id: CommandId): string => `{"t":"accepted","id":"${id}"}`;

export const persistedFrame = (id: CommandId, seq: number, isRepeat: boolean): string =>
  isRepeat
    ? `{"t":"persisted","id":"${id}","seq":${seq},"duplicate":true}`
    : `{"t":"persisted","id":"${id}","seq":${seq}}`;

export const tickFrame = (seq: number): string => `{"t":"tick","seq":${seq}}`;

type Over = { readonly message?: string; readonly retryAfterMs?: number };

export const errorFrame = (code: ErrorCode, over: Over = {}): string =>
  JSON.stringify({ t: 'error', ...errorBody(code, over) });

export const rejectedFrame = (
  id: string,
  code: ErrorCode,
  over: Over & { readonly seq?: number } = {},
): string =>
  JSON.stringify({
    t: 'rejected',
    id,
    ...(over.seq === undefined ? {} : { seq: over.seq }),
    ...errorBody(code, over),
  });
