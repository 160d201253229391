/**
 * From foreign bytes to a `ClientFrame`, or the code of the refusal. Checks go from cheap to dear, and nothing is
 * parsed that a bound forbids. Never throws.
 */

import { isUtf8 } from 'node:buffer';
import { Compile, type Validator } from 'typebox/compile';
import type { ErrorCode } from '@chat/contracts/errors';
import { type ClientFrame, clientFrameSchemas } from '@chat/contracts/frames';
import { FRAME_MAX_DEPTH } from '@chat/contracts/limits';

export type GuardedFrame =
  | { readonly ok: true; readonly frame: ClientFrame }
  | { readonly ok: false; readonly code: ErrorCode; readonly message?: string };

const refuse = (code: ErrorCode, message?: string): GuardedFrame =>
  message === undefined ? { ok: false, code } : { ok: false, code, message };

const countAtMost = (text: string, mark: string, most: number): number => {
  let count = 0;
  for (let at = text.indexOf(mark); at >= 0 && count <= most; at = text.indexOf(mark, at + 1)) count += 1;
  return count;
};

/** Whether arrays and objects nest deeper than `maxDepth`; brackets in strings do not count. */
export const isTooDeep = (text: string, maxDepth: number): boolean => {
  // Fewer opening brackets than allowed levels cannot nest too deep: true of nearly every frame.
  if (countAtMost(text, '{', maxDepth) + countAtMost(text, '[', maxDepth) <= maxDepth) return false;
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (inString) {
      if (unit === 0x5c) i += 1;
      else if (unit === 0x22) inString = false;
    } else if (unit === 0x22) inString = true;
    else if (unit === 0x7b || unit === 0x5b) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (unit === 0x7d || unit === 0x5d) depth -= 1;
  }
  return false;
};

const validators = new Map<string, Validator>();
const validatorOf = (t: ClientFrame['t']): Validator => {
  let validator = validators.get(t);
  if (!validator) validators.set(t, (validator = Compile(clientFrameSchemas[t]) as unknown as Validator));
  return validator;
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

export const guardFrame = (bytes: Buffer, isBinary: boolean, maxBytes: number): GuardedFrame => {
  if (bytes.length > maxBytes) return refuse('FRAME_TOO_LARGE', `The frame is over ${maxBytes} bytes.`);
  if (isBinary || !isUtf8(bytes)) return refuse('FRAME_NOT_TEXT');
  const text = bytes.toString('utf8');
  if (isTooDeep(text, FRAME_MAX_DEPTH)) return refuse('FRAME_TOO_DEEP');
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse('FRAME_NOT_JSON');
  const { t } = value as { t?: unknown };
  if (typeof t !== 'string' || !Object.hasOwn(clientFrameSchemas, t)) return refuse('FRAME_UNKNOWN');
  const validator = validatorOf(t as ClientFrame['t']);
  if (validator.Check(value)) return { ok: true, frame: value as ClientFrame };
  const fault = validator.Errors(value)[0];
  return refuse('FRAME_INVALID', fault ? `${t}${fault.instancePath}: ${fault.message}` : undefined);
};
