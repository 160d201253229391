/**
 * Branded identifiers. They are minted where input is parsed (`parseX`), and nowhere else; every other
 * function takes the brand. All are safe as one token of a NATS subject (no `.`, `*`, `>`, blank).
 */

declare const brand: unique symbol;
type Brand<B extends string> = string & { readonly [brand]: B };

/** 16 characters of Crockford base 32 (lower case); the first two name the partition. Server-made. */
export type TeamId = Brand<'TeamId'>;
/** 1–64 characters of `A–Z a–z 0–9 _ -`: the `sub` of the user's token. */
export type UserId = Brand<'UserId'>;
/** UUID in lower case. A channel's id is the id of the `channel.create` command that made it. */
export type ChannelId = Brand<'ChannelId'>;
/** UUID in lower case, client-made (v7 preferred), unique per team for ever. */
export type CommandId = Brand<'CommandId'>;
/** For `message.send` the command id *is* the message id. */
export type MessageId = CommandId;

const base32 = '0123456789abcdefghjkmnpqrstvwxyz';
const teamPattern = /^[0-9a-hjkmnp-tv-z]{16}$/;
const userPattern = /^[A-Za-z0-9_-]{1,64}$/;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Two base-32 characters name at most this many partitions. */
export const PARTITION_COUNT_MAX = 1024;

export const parseTeamId = (value: unknown): TeamId | undefined =>
  typeof value === 'string' && teamPattern.test(value) ? (value as TeamId) : undefined;

export const parseUserId = (value: unknown): UserId | undefined =>
  typeof value === 'string' && userPattern.test(value) ? (value as UserId) : undefined;

/** Accepts either case (some platforms write UUIDs in capitals) and answers in lower case. */
const parseUuid = (value: unknown): string | undefined => {
  if (typeof value !== 'string' || value.length !== 36) return undefined;
  if (uuidPattern.test(value)) return value;
  const lower = value.toLowerCase();
  return uuidPattern.test(lower) ? lower : undefined;
};

export const parseCommandId = (value: unknown): CommandId | undefined =>
  parseUuid(value) as CommandId | undefined;
export const parseChannelId = (value: unknown): ChannelId | undefined =>
  parseUuid(value) as ChannelId | undefined;

/** The channel that a `channel.create` command makes carries the command's id. */
export const channelIdOf = (createCommandId: CommandId): ChannelId => createCommandId as string as ChannelId;

/** The partition (0-based) in which the team lives; a pure function of its id. */
export const partitionOf = (teamId: TeamId): number =>
  base32.indexOf(teamId.charAt(0)) * 32 + base32.indexOf(teamId.charAt(1));

/**
 * Makes a team id in `partition` from 9 bytes of entropy (a MAC of the creating command, so that a
 * repeated `team.create` names the same team; see docs/adr). Throws RangeError on a bad partition.
 */
export const makeTeamId = (partition: number, entropy: Uint8Array): TeamId => {
  if (!Number.isInteger(partition) || partition < 0 || partition >= PARTITION_COUNT_MAX) {
    throw new RangeError(`partition ${partition} is not within 0..${PARTITION_COUNT_MAX - 1}`);
  }
  if (entropy.length < 9) throw new RangeError('a team id needs 9 bytes of entropy');
  let id = base32.charAt(partition >> 5) + base32.charAt(partition & 31);
  let bits = 0;
  let value = 0;
  for (const byte of entropy) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5 && id.length < 16) {
      bits -= 5;
      id += base32.charAt((value >> bits) & 31);
    }
    value &= (1 << bits) - 1;
  }
  return id as TeamId;
};
