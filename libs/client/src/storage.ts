/**
 * What a client keeps over a restart: its cursor and the commands that have no outcome yet. Storage is
 * pluggable: anything that loads and saves one text. A text that cannot be read back counts as empty.
 */

import { isCommandName } from './command-names.ts';
import type { Cursor } from '@chat/contracts/frames';
import { type TeamId, type UserId, parseCommandId, parseUserId } from '@chat/contracts/ids';
import type { StoredCommand } from './outbox.ts';

export type ClientStorage = {
  readonly load: () => string | undefined | Promise<string | undefined>;
  /** Called with the newest text; calls do not overlap when a promise is returned. */
  readonly save: (text: string) => void | Promise<void>;
};

export type StoredState = {
  readonly teamId: TeamId;
  readonly userId?: UserId;
  readonly cursor?: Cursor;
  readonly commands: readonly StoredCommand[];
};

const VERSION = 1;

export const encodeState = (state: StoredState): string => JSON.stringify({ v: VERSION, ...state });

const parseCursor = (value: unknown): Cursor | undefined => {
  const { epoch, seq } = (value ?? {}) as { epoch?: unknown; seq?: unknown };
  return typeof epoch === 'string' && Number.isSafeInteger(seq) ? { epoch, seq: seq as number } : undefined;
};

const parseStoredCommand = (value: unknown): readonly StoredCommand[] => {
  const { id, name, data, submittedAtMs } = (value ?? {}) as Record<string, unknown>;
  const commandId = parseCommandId(id);
  if (!commandId || !isCommandName(name) || typeof data !== 'object' || data === null) return [];
  return [
    { id: commandId, name, data, submittedAtMs: typeof submittedAtMs === 'number' ? submittedAtMs : 0 },
  ];
};

/** Undefined when nothing usable for this team is stored. */
export const decodeState = (text: string | undefined, teamId: TeamId): StoredState | undefined => {
  if (!text) return undefined;
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null;
    if (!value || value['v'] !== VERSION || value['teamId'] !== teamId) return undefined;
    const userId = parseUserId(value['userId']);
    const cursor = parseCursor(value['cursor']);
    const commands = Array.isArray(value['commands']) ? value['commands'].flatMap(parseStoredCommand) : [];
    return { teamId, ...(userId ? { userId } : {}), ...(cursor ? { cursor } : {}), commands };
  } catch {
    return undefined;
  }
};

export const createMemoryStorage = (
  initial?: string,
): ClientStorage & { readonly text: () => string | undefined } => {
  let text = initial;
  return { load: () => text, save: (next) => void (text = next), text: () => text };
};
