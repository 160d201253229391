/**
 * Commands: a wish of a user. On the wire a client sends `{id, name, data}`; on `CMD_<p>` stands a
 * `CommandEnvelope`. `parseCommand` is the only way from foreign input to a `Command`: it validates the
 * shape, lower-cases ids and puts the keys in one order, so that equal wishes have equal bytes (their hash
 * tells a repeat from the misuse of an id).
 */

import Type, { type Static, type TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import type { ErrorCode } from './errors.ts';
import {
  type ChannelId,
  type CommandId,
  type TeamId,
  type UserId,
  parseChannelId,
  parseUserId,
} from './ids.ts';
import { DIRECT_OTHERS_MAX_COUNT, NAME_MAX_LENGTH, TEXT_MAX_BYTES } from './limits.ts';

export type ChannelKind = 'public' | 'private' | 'direct';
export type Role = 'owner' | 'admin' | 'member';

export type CommandData = {
  readonly 'team.create': { readonly name: string };
  /** `name` for public and private; `memberIds` are the others of a direct channel (the actor is always a member). */
  readonly 'channel.create': {
    readonly kind: ChannelKind;
    readonly name?: string;
    readonly memberIds?: readonly UserId[];
  };
  readonly 'channel.join': { readonly channelId: ChannelId };
  readonly 'channel.leave': { readonly channelId: ChannelId };
  /** Without `channelId`: to (from) the team. */
  readonly 'member.add': {
    readonly userId: UserId;
    readonly channelId?: ChannelId;
    readonly role?: 'admin' | 'member';
  };
  readonly 'member.remove': { readonly userId: UserId; readonly channelId?: ChannelId };
  readonly 'message.send': { readonly channelId: ChannelId; readonly text: string };
  /** All up to and including message `channelSeq` is read. */
  readonly 'read.mark': { readonly channelId: ChannelId; readonly channelSeq: number };
};
export type CommandName = keyof CommandData;

/** A validated wish, discriminated by `name`. */
export type CommandWish = {
  readonly [N in CommandName]: { readonly name: N; readonly data: CommandData[N] };
}[CommandName];

/** What the writer decides on: who wished what, in which team, under which id. */
export type Command = CommandWish & {
  readonly id: CommandId;
  readonly teamId: TeamId;
  readonly actor: UserId;
  /** See `commandHash` in @chat/platform: 16 base64url characters over team, name and canonical data. */
  readonly hash: string;
};

const uuid = Type.String({
  minLength: 36,
  maxLength: 36,
  pattern: '^[0-9a-fA-F-]{36}$',
  description: 'UUID',
});
const user = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[A-Za-z0-9_-]+$',
  description: 'user id',
});
const name = Type.String({ minLength: 1, maxLength: NAME_MAX_LENGTH });
const closed = { additionalProperties: false } as const;

/** The schemas of `data` by command name: one source for validation, AsyncAPI and OpenAPI. */
export const commandSchemas = {
  'team.create': Type.Object({ name }, closed),
  'channel.create': Type.Object(
    {
      kind: Type.Union([Type.Literal('public'), Type.Literal('private'), Type.Literal('direct')]),
      name: Type.Optional(name),
      memberIds: Type.Optional(Type.Array(user, { minItems: 1, maxItems: DIRECT_OTHERS_MAX_COUNT })),
    },
    closed,
  ),
  'channel.join': Type.Object({ channelId: uuid }, closed),
  'channel.leave': Type.Object({ channelId: uuid }, closed),
  'member.add': Type.Object(
    {
      userId: user,
      channelId: Type.Optional(uuid),
      role: Type.Optional(Type.Union([Type.Literal('admin'), Type.Literal('member')])),
    },
    closed,
  ),
  'member.remove': Type.Object({ userId: user, channelId: Type.Optional(uuid) }, closed),
  'message.send': Type.Object({ channelId: uuid, text: Type.String() }, closed),
  'read.mark': Type.Object(
    { channelId: uuid, channelSeq: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) },
    closed,
  ),
} as const satisfies Record<CommandName, TSchema>;

export type RawCommandData<N extends CommandName> = Static<(typeof commandSchemas)[N]>;

export const isCommandName = (value: unknown): value is CommandName =>
  typeof value === 'string' && Object.hasOwn(commandSchemas, value);

export type ParsedCommand =
  | {
      readonly ok: true;
      readonly wish: CommandWish;
      /** Canonical JSON of `data`: fixed key order, ids in lower case. */ readonly dataJson: string;
    }
  | { readonly ok: false; readonly code: ErrorCode; readonly message?: string };

const validators = new Map<CommandName, Validator>();
const validatorOf = (commandName: CommandName): Validator => {
  let validator = validators.get(commandName);
  if (!validator)
    validators.set(commandName, (validator = Compile(commandSchemas[commandName]) as unknown as Validator));
  return validator;
};

const utf8LengthAtMost = (text: string, maxBytes: number): boolean => {
  if (text.length > maxBytes) return false;
  if (text.length * 3 <= maxBytes) return true;
  let bytes = 0;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : unit >= 0xd800 && unit < 0xe000 ? 2 : 3;
  }
  return bytes <= maxBytes;
};

/** Why a text is refused, or undefined when it can be stored and returned byte for byte. */
export const textFault = (text: string): ErrorCode | undefined => {
  if (!utf8LengthAtMost(text, TEXT_MAX_BYTES)) return 'MSG_TEXT_TOO_LONG';
  if (text.includes('\u0000') || !text.isWellFormed()) return 'MSG_TEXT_INVALID';
  if (text.trim().length === 0) return 'MSG_TEXT_EMPTY';
  return undefined;
};

const nameIsSound = (value: string): boolean =>
  value.trim().length > 0 && value.isWellFormed() && !/\p{Cc}/u.test(value);

const refuse = (code: ErrorCode, message?: string): ParsedCommand => ({
  ok: false,
  code,
  ...(message ? { message } : {}),
});

const accept = (wish: CommandWish): ParsedCommand => ({
  ok: true,
  wish,
  dataJson: JSON.stringify(wish.data),
});

/** Foreign input → a canonical wish, or the code (and sentence) of its refusal. Never throws. */
export const parseCommand = (commandName: unknown, data: unknown): ParsedCommand => {
  if (!isCommandName(commandName)) return refuse('COMMAND_UNKNOWN');
  const validator = validatorOf(commandName);
  if (!validator.Check(data)) {
    const first = validator.Errors(data)[0];
    return refuse('COMMAND_INVALID', first ? `data${first.instancePath}: ${first.message}` : undefined);
  }
  return canonical(commandName, data as never);
};

const badChannel = (): ParsedCommand => refuse('COMMAND_INVALID', 'data/channelId: must be a UUID');

/** The shape is known to be right; puts keys in one order and checks what a schema cannot say. */
const canonical = (commandName: CommandName, data: never): ParsedCommand => {
  switch (commandName) {
    case 'message.send': {
      const raw = data as RawCommandData<'message.send'>;
      const channelId = parseChannelId(raw.channelId);
      if (!channelId) return badChannel();
      const fault = textFault(raw.text);
      if (fault) return refuse(fault);
      return accept({ name: commandName, data: { channelId, text: raw.text } });
    }
    case 'read.mark': {
      const raw = data as RawCommandData<'read.mark'>;
      const channelId = parseChannelId(raw.channelId);
      return channelId
        ? accept({ name: commandName, data: { channelId, channelSeq: raw.channelSeq } })
        : badChannel();
    }
    case 'channel.join':
    case 'channel.leave': {
      const channelId = parseChannelId((data as RawCommandData<'channel.join'>).channelId);
      return channelId ? accept({ name: commandName, data: { channelId } }) : badChannel();
    }
    case 'team.create': {
      const raw = data as RawCommandData<'team.create'>;
      return nameIsSound(raw.name)
        ? accept({ name: commandName, data: { name: raw.name } })
        : refuse('COMMAND_INVALID', 'data/name: must hold a visible character and no control characters');
    }
    case 'channel.create':
      return canonicalChannelCreate(data);
    case 'member.add':
    case 'member.remove':
      return canonicalMember(commandName, data);
  }
};

const canonicalChannelCreate = (raw: RawCommandData<'channel.create'>): ParsedCommand => {
  if (raw.kind === 'direct') {
    if (!raw.memberIds)
      return refuse('COMMAND_INVALID', 'data/memberIds: a direct channel needs the other members');
    if (raw.name !== undefined) return refuse('COMMAND_INVALID', 'data/name: a direct channel has no name');
    const memberIds = [...new Set(raw.memberIds)].sort() as UserId[];
    return accept({ name: 'channel.create', data: { kind: raw.kind, memberIds } });
  }
  if (raw.name === undefined || !nameIsSound(raw.name)) {
    return refuse('COMMAND_INVALID', 'data/name: must hold a visible character and no control characters');
  }
  if (raw.memberIds) return refuse('COMMAND_INVALID', 'data/memberIds: only for a direct channel');
  return accept({ name: 'channel.create', data: { kind: raw.kind, name: raw.name } });
};

const canonicalMember = (
  commandName: 'member.add' | 'member.remove',
  raw: RawCommandData<'member.add'>,
): ParsedCommand => {
  const userId = parseUserId(raw.userId);
  if (!userId) return refuse('COMMAND_INVALID', 'data/userId: is not a user id');
  const channelId = raw.channelId === undefined ? undefined : parseChannelId(raw.channelId);
  if (raw.channelId !== undefined && !channelId) return badChannel();
  const target = { userId, ...(channelId ? { channelId } : {}) };
  if (commandName === 'member.remove') return accept({ name: commandName, data: target });
  return accept({ name: commandName, data: { ...target, ...(raw.role ? { role: raw.role } : {}) } });
};

/** The message on `CMD_<p>` under `cmd.<p>.<team>.<name>`, `Nats-Msg-Id` = `commandMsgId`. */
export type CommandEnvelope = {
  readonly v: 1;
  readonly id: CommandId;
  readonly actor: UserId;
  readonly hash: string;
  readonly name: CommandName;
  /** When the gateway or api took it, ms since the Unix epoch. Tells latency; orders nothing. */
  readonly at: number;
  readonly data: CommandData[CommandName];
};

/** Encodes an envelope around the canonical data of `parseCommand` without encoding that again. */
export const encodeCommand = (
  id: CommandId,
  actor: UserId,
  hash: string,
  commandName: CommandName,
  atMs: number,
  dataJson: string,
): string =>
  `{"v":1,"id":"${id}","actor":"${actor}","hash":"${hash}","name":"${commandName}","at":${atMs},"data":${dataJson}}`;

/**
 * `<actor>.<id>.<hash>`: the broker's dedupe id, the key of a pending command in a gateway, and what the
 * writer remembers of the last command it committed. Same id with another body or sender is another key.
 */
export const commandMsgId = (actor: UserId, id: CommandId, hash: string): string => `${actor}.${id}.${hash}`;
