/**
 * What the indexes hold of a message: hashes (int32) of its grams, its channel and its author, each mixed with the team.
 * They only pre-select, so a collision costs a look at a message, never a wrong answer. A gram is two neighbouring code points with no blank
 * between them, or one that is a word by itself (see `isLone`).
 */

import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';

const mix = (hash: number, value: number): number => {
  const mixed = Math.imul(hash ^ value, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
};

const hashOf = (seed: number, text: string): number => {
  let hash = seed;
  for (let at = 0; at < text.length; at += 1) hash = mix(hash, text.charCodeAt(at));
  return hash;
};

/** Tokens of one team and one bucket (a store that needs no buckets gives 0) have a seed of their own. */
export const seedOf = (teamId: TeamId, bucket: number): number => mix(hashOf(1, teamId), bucket);

export type Gram = readonly [first: number, second: number];
/** No code point: stands second in a gram of one. */
const NONE = 0x110000;

const gramToken = (seed: number, first: number, second: number): number => mix(mix(seed, first), second) | 0;
export const channelToken = (seed: number, channelId: ChannelId): number =>
  hashOf(mix(seed, -1), channelId) | 0;
export const actorToken = (seed: number, actor: UserId): number => hashOf(mix(seed, -2), actor) | 0;

const lone = /^[\p{Script=Han}\p{Script=Hangul}\p{Extended_Pictographic}]$/u;

/** May be searched for alone: an ideograph, a Hangul syllable, an emoji. Single letters and kana are in nearly every message. */
export const isLone = (code: number): boolean => {
  if (code < 0xa9 || (code >= 0x3041 && code <= 0x30ff)) return false;
  return (code >= 0x4e00 && code <= 0x9fff) || lone.test(String.fromCodePoint(code));
};

const BLANK = 0x20;

/** Every gram of a folded text, repeats included. */
const eachGram = (folded: string, visit: (first: number, second: number) => void): void => {
  let previous = BLANK;
  for (let at = 0; at < folded.length;) {
    const unit = folded.charCodeAt(at);
    const code = unit < 0xd800 ? unit : (folded.codePointAt(at) ?? 0);
    if (code !== BLANK) {
      if (previous !== BLANK) visit(previous, code);
      if (isLone(code)) visit(code, NONE);
    }
    previous = code;
    at += code > 0xffff ? 2 : 1;
  }
};

export type Tokenised = {
  readonly folded: string;
  readonly channelId: ChannelId;
  readonly actor: UserId;
};

/** Units of a text whose tokens, two a unit at the most, take no more than half of the slots. */
const SLOT_COUNT = 4_096;
const QUICK_UNITS_MAX_COUNT = SLOT_COUNT / 4 - 1;

/**
 * Which tokens were met, as a table of hashes that is used again for each message: a Set made for each takes most of the time
 * of a message. A slot is taken when it is of this round. Shared by all calls, none of which is ever interrupted.
 */
const slotTokens = new Int32Array(SLOT_COUNT);
const slotRounds = new Int32Array(SLOT_COUNT);
const ROUND_MAX = 0x7fffffff;
let round = 0;

const beginRound = (): void => {
  if (round === ROUND_MAX) {
    slotRounds.fill(0);
    round = 0;
  }
  round += 1;
};

/** False: it was met in this round. */
const isFirst = (token: number): boolean => {
  let slot = token & (SLOT_COUNT - 1);
  while (slotRounds[slot] === round) {
    if (slotTokens[slot] === token) return false;
    slot = (slot + 1) & (SLOT_COUNT - 1);
  }
  slotRounds[slot] = round;
  slotTokens[slot] = token;
  return true;
};

/** Each once. */
export const messageTokens = (seed: number, { folded, channelId, actor }: Tokenised): number[] => {
  const tokens: number[] = [];
  const met = folded.length > QUICK_UNITS_MAX_COUNT ? new Set<number>() : undefined;
  if (!met) beginRound();
  const add = (token: number): void => {
    if (met ? met.has(token) : !isFirst(token)) return;
    met?.add(token);
    tokens.push(token);
  };
  add(channelToken(seed, channelId));
  add(actorToken(seed, actor));
  eachGram(folded, (first, second) => add(gramToken(seed, first, second)));
  return tokens;
};

/** Grams that every text with `needle` in it has. Empty: nothing of it is indexed. */
export const needleGrams = (needle: string): Gram[] => {
  const grams = new Map<string, Gram>();
  let hasPair = false;
  eachGram(needle, (first, second) => {
    if (second !== NONE) hasPair = true;
    grams.set(`${first} ${second}`, [first, second]);
  });
  // One of two characters says more than each of one.
  return [...grams.values()].filter(([, second]) => !hasPair || second !== NONE);
};

export const gramTokens = (seed: number, grams: readonly Gram[]): number[] =>
  grams.map(([first, second]) => gramToken(seed, first, second));
