/**
 * What was typed into the search box, as needles: pieces of folded text that must all be in a message. Blanks part them, quotes
 * hold a phrase together.
 */

import { SEARCH_QUERY_MAX_LENGTH, SEARCH_TERMS_MAX_COUNT } from '@chat/contracts/limits';
import { foldText } from './text.ts';
import { type Gram, needleGrams } from './tokens.ts';

export type SearchQuery = {
  readonly kind: 'query';
  readonly needles: readonly string[];
  /** Grams that pre-select; at least one. */
  readonly grams: readonly Gram[];
};
export type QueryRefusal = {
  readonly kind: 'refused';
  readonly code: 'SEARCH_QUERY_EMPTY' | 'SEARCH_QUERY_TOO_LONG' | 'SEARCH_QUERY_TOO_SHORT';
};

/** More would cost more than they spare. They are taken from all over the query. */
const GRAMS_MAX_COUNT = 12;

const quoted = /[“”„«»]/gu;

export const parseSearchQuery = (text: string): SearchQuery | QueryRefusal => {
  if (text.length > SEARCH_QUERY_MAX_LENGTH) return refused('SEARCH_QUERY_TOO_LONG');
  const needles = needlesOf(foldText(text.toWellFormed()).replace(quoted, '"'));
  if (needles.length === 0) return refused('SEARCH_QUERY_EMPTY');
  if (needles.length > SEARCH_TERMS_MAX_COUNT) return refused('SEARCH_QUERY_TOO_LONG');
  const grams = spread(needles.flatMap(needleGrams), GRAMS_MAX_COUNT);
  if (grams.length === 0) return refused('SEARCH_QUERY_TOO_SHORT');
  return { kind: 'query', needles, grams };
};

const refused = (code: QueryRefusal['code']): QueryRefusal => ({ kind: 'refused', code });

/** Every second piece between quotes stands inside them; a quote without its partner is like a blank. */
const needlesOf = (folded: string): string[] => {
  const pieces = folded.split('"');
  const needles = pieces.flatMap((piece, index) => {
    const isPhrase = index % 2 === 1 && index < pieces.length - 1;
    return isPhrase ? [piece.trim()] : piece.split(' ');
  });
  return [...new Set(needles.filter((needle) => needle !== ''))];
};

/** At most so many, from all over the list. */
export const spread = <T>(all: readonly T[], maxCount: number): readonly T[] =>
  all.length <= maxCount
    ? all
    : Array.from({ length: maxCount }, (_, n) => all[Math.floor((n * all.length) / maxCount)] as T);
