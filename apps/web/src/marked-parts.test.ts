import { expect, it } from 'vitest';
import { markedParts } from './marked-parts.ts';

it('a text is cut at its highlights, and nothing of it is lost', () => {
  const cut = (text: string, ...highlights: [number, number][]) =>
    markedParts(text, highlights).map(({ text: part, isMarked }) => (isMarked ? `[${part}]` : part));
  expect(cut('one two one', [0, 3], [8, 11])).toEqual(['[one]', ' two ', '[one]']);
  expect(cut('one two', [4, 7])).toEqual(['one ', '[two]']);
  expect(cut('one', [0, 3])).toEqual(['[one]']);
  expect(cut('one')).toEqual(['one']);
});
