import { describe, expect, it } from 'vitest';
import { highlightsOf } from './highlights.ts';
import { parseSearchQuery } from './query.ts';

const needlesOf = (text: string): readonly string[] => {
  const query = parseSearchQuery(text);
  if (query.kind !== 'query') throw new Error(query.code);
  return query.needles;
};

describe('a search query', () => {
  it.each([
    ['two words', 'Deploy  failed', ['deploy', 'failed']],
    ['an ideographic blank', '東京　会議', ['東京', '会議']],
    ['a phrase', 'say "good  night" moon', ['say', 'good night', 'moon']],
    ['typographic quotes', '“good night”', ['good night']],
    ['a quote without its partner', 'good "night moon', ['good', 'night', 'moon']],
    ['the same word twice', 'ABC abc', ['abc']],
    ['a single letter beside a word', 'vitamin c', ['vitamin', 'c']],
    ['a single ideograph', '猫', ['猫']],
    ['a single emoji', '👍', ['👍']],
  ])('of %s is these needles', (_, text, needles) => {
    expect(needlesOf(text)).toEqual(needles);
  });

  it.each([
    ['', 'SEARCH_QUERY_EMPTY'],
    [' 　\u200b\t', 'SEARCH_QUERY_EMPTY'],
    ['""', 'SEARCH_QUERY_EMPTY'],
    ['a', 'SEARCH_QUERY_TOO_SHORT'],
    ['あ い', 'SEARCH_QUERY_TOO_SHORT'],
    ['"a b"', 'SEARCH_QUERY_TOO_SHORT'],
    ['x'.repeat(257), 'SEARCH_QUERY_TOO_LONG'],
    [Array.from({ length: 17 }, (_, n) => `w${n}`).join(' '), 'SEARCH_QUERY_TOO_LONG'],
  ])('%j is refused with a code', (text, code) => {
    expect(parseSearchQuery(text)).toEqual({ kind: 'refused', code });
  });

  it('selects by a bounded number of grams', () => {
    const query = parseSearchQuery(Array.from({ length: 16 }, (_, n) => `needle${n}xyz`).join(' '));
    expect(query.kind === 'query' && query.grams.length).toBe(12);
  });
});

describe('highlights', () => {
  const marked = (text: string, query: string): string[] =>
    highlightsOf(text, needlesOf(query)).map(([start, end]) => text.slice(start, end));

  it.each([
    ['half-width katakana', 'ｱﾊﾞﾅﾅｵ', 'バナナ', ['ﾊﾞﾅﾅ']],
    ['half a ligature', 'a ﬁne day', 'in', ['ﬁn']],
    ['what combines', 'cafe\u0301s', 'café', ['cafe\u0301']],
    ['surrogate pairs', '😀𠮷野家😀', '𠮷野', ['𠮷野']],
    ['a family, whole', 'our 👩‍👩‍👧 home', '👧', ['👩‍👩‍👧']],
    ['a squared word, whole', '3㌔m', 'キロ', ['㌔']],
    ['several words, where they stand', 'One two one', 'one two', ['One', 'two', 'one']],
    ['words that overlap, as one', 'abcdef', 'abcd cdef', ['abcdef']],
    ['a phrase over any blanks', 'good \n night', '"good night"', ['good \n night']],
    ['nothing that is not there', 'abc', 'xyz', []],
  ])('show %s', (_, text, query, expected) => {
    expect(marked(text, query)).toEqual(expected);
  });

  it('are bounded in number', () => {
    expect(highlightsOf('ab '.repeat(1_000), ['ab'])).toHaveLength(100);
  });
});
