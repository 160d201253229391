import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldText, foldWithOrigin } from './text.ts';

describe('folded text', () => {
  it.each([
    ['half-width katakana with voiced marks', 'ﾊﾞﾅﾅ ｶﾞﾑ ﾎﾟﾝ', 'バナナ ガム ポン'],
    ['full-width letters and blanks', 'ＡＢＣ　１２３', 'abc 123'],
    ['ligatures', 'ﬁne ﬄ', 'fine ffl'],
    ['a squared word', '㌔㍍', 'キロメートル'],
    ['combining marks, composed or not', 'e\u0301 é', 'é é'],
    ['kana with a combining mark', 'か\u3099', 'が'],
    ['sharp s in all its forms', 'Straße STRASSE ẞ', 'strasse strasse ss'],
    ['sigma, also at the end of a word', 'ΟΔΟΣ οδος', 'οδοσ οδοσ'],
    ['dotless and dotted i', 'ıI', 'ii'],
    ['conjoining Hangul', '\u1112\u1161\u11ab', '한'],
    ['half-width Hangul', 'ﾡￂ', '가'],
    ['what is invisible', 'so\u00adft ze\u200bro ❤\ufe0f', 'soft zero ❤'],
    ['runs of blanks and controls', ' a\r\n\t b\u0000c ', ' a b c '],
    ['emoji outside the first plane', '😀A', '😀a'],
  ])('is one for %s', (_, text, folded) => {
    expect(foldText(text)).toBe(folded);
  });

  const text = fc.string({ unit: 'binary' });
  it('leads back from every unit to a range of whole characters of the original', () => {
    fc.assert(
      fc.property(text, (original) => {
        const { folded, rangeOf } = foldWithOrigin(original);
        expect(folded).toBe(foldText(original));
        let before = 0;
        for (let unit = 0; unit < folded.length; unit += 1) {
          const [start, end] = rangeOf(unit, unit + 1);
          expect(start).toBeLessThan(end);
          expect(start).toBeGreaterThanOrEqual(before);
          before = start;
          if (original.isWellFormed()) expect(original.slice(start, end).isWellFormed()).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is that of its parts, wherever they do not combine', () => {
    const plain = fc.string({ unit: fc.constantFrom(...'aBﾊｶﾞeßΣ한ﬁ日Ａ１😀'), maxLength: 6 });
    fc.assert(
      fc.property(fc.array(plain, { maxLength: 5 }), (parts) => {
        // Never a mark at the begin of a part.
        const sound = parts.map((part) => `x${part}`);
        expect(foldText(sound.join(''))).toBe(sound.map(foldText).join(''));
      }),
    );
  });
});
