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

const gramToken = (seed: number, [first, second]: Gram): number => mix(mix(seed, first), second) | 0;
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
    const code = folded.codePointAt(at) ?? 0;
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

/** Each once. */
export const messageTokens = (seed: number, { folded, channelId, actor }: Tokenised): number[] => {
  const tokens = new Set([channelToken(seed, channelId), actorToken(seed, actor)]);
  eachGram(folded, (first, second) => tokens.add(gramToken(seed, [first, second])));
  return [...tokens];
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
  grams.map((gram) => gramToken(seed, gram));
