/** A message of `CMD_<p>` → the command to decide, or why it is not one (a poison command, never thrown). */

import { type Command, type CommandName, isCommandName, parseCommand } from '@chat/contracts/commands';
import {
  type CommandId,
  type TeamId,
  type UserId,
  parseChannelId,
  parseCommandId,
  parseTeamId,
  parseUserId,
} from '@chat/contracts/ids';
import { TEXT_MAX_BYTES } from '@chat/contracts/limits';
import type { TraceSpan } from '@chat/platform/tracing';
import type { CommandMark } from './command-mark.ts';

/** As it came from the stream; kept raw until it is its turn, so that a queue holds bytes and nothing twice. */
export type IntakeMessage = {
  readonly seq: number;
  readonly subject: string;
  /** From the subject; undefined when it names none. */
  readonly teamId: TeamId | undefined;
  readonly data: Uint8Array;
  /** `Nats-Msg-Id`, read only when the body cannot be. */
  readonly msgId: () => string;
  /** Where it stands, told for certain; read only of a batch's last. */
  readonly mark: () => CommandMark;
  /** From the stream to the acknowledged events; only when this command is traced. */
  readonly trace?: TraceSpan | undefined;
};

/** Who wished it, as far as that can be told: a refusal needs all four. */
export type Sender = {
  readonly teamId: TeamId;
  readonly actor: UserId;
  readonly id: CommandId;
  readonly hash: string;
};

export type DecodedCommand =
  { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly reason: string };

const hashPattern = /^[A-Za-z0-9_-]{16}$/;
const TEAM_ID_LENGTH = 16;
export const SUBJECTS_MAX_COUNT = 4_096;

/**
 * `cmd.<p>.<team>.<name>` → the team (of fixed length). Subjects repeat, so what was parsed is remembered, for at
 * most SUBJECTS_MAX_COUNT subjects; then it begins anew.
 */
export const createSubjectTeams = (partition: number): ((subject: string) => TeamId | undefined) => {
  const start = `cmd.${partition}.`.length;
  const parsed = new Map<string, TeamId | undefined>();
  return (subject) => {
    const known = parsed.get(subject);
    if (known !== undefined) return known;
    const teamId = parseTeamId(subject.slice(start, start + TEAM_ID_LENGTH));
    if (parsed.size >= SUBJECTS_MAX_COUNT) parsed.clear();
    parsed.set(subject, teamId);
    return teamId;
  };
};

const bad = (reason: string): DecodedCommand => ({ ok: false, reason });

export const decodeCommand = (message: IntakeMessage): DecodedCommand => {
  const { teamId } = message;
  if (!teamId) return bad('the subject names no team');
  const { data } = message;
  let raw: Record<string, unknown>;
  try {
    raw = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()) as never;
  } catch {
    return bad('the body is not JSON');
  }
  if (typeof raw !== 'object' || raw === null || raw.v !== 1)
    return bad('the envelope is of no known version');
  const id = parseCommandId(raw.id);
  const actor = parseUserId(raw.actor);
  const { hash, name } = raw;
  if (!id || !actor || typeof hash !== 'string' || !hashPattern.test(hash)) {
    return bad('the envelope has no sound id, actor or hash');
  }
  if (!isCommandName(name) || !message.subject.endsWith(name))
    return bad('the name is unknown or not the subject’s');
  const wish = decodeWish(name, raw.data);
  if (!wish) return bad('the data does not have the shape of the command');
  const command = { name, data: wish, id, teamId, actor, hash } as unknown as Command;
  return { ok: true, command };
};

/**
 * The gateway and the api have validated; this is the second line against a sender that has not. The hot
 * command is checked by hand (its bound keeps every event under the stream's maximum), the rest by schema.
 */
const decodeWish = (name: CommandName, data: unknown): object | undefined => {
  if (name !== 'message.send') {
    const parsed = parseCommand(name, data);
    return parsed.ok ? parsed.wish.data : undefined;
  }
  if (typeof data !== 'object' || data === null) return undefined;
  const { channelId: rawChannelId, text } = data as { channelId?: unknown; text?: unknown };
  const channelId = parseChannelId(rawChannelId);
  if (!channelId || typeof text !== 'string' || text.length > TEXT_MAX_BYTES) return undefined;
  return { channelId, text };
};

/** The sender of a message whose body cannot be used: from its subject and its Msg-Id `<actor>.<id>.<hash>`. */
export const senderOf = (message: IntakeMessage): Sender | undefined => {
  const { teamId } = message;
  const [rawActor, rawId, hash] = message.msgId().split('.');
  const actor = parseUserId(rawActor);
  const id = parseCommandId(rawId);
  if (!teamId || !actor || !id || !hash || !hashPattern.test(hash)) return undefined;
  return { teamId, actor, id, hash };
};

export const commandNameOfSubject = (subject: string): CommandName => {
  const name = subject.split('.').slice(3).join('.');
  return isCommandName(name) ? name : 'message.send';
};
