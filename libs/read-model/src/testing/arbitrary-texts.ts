/** Random texts in mixed scripts, of few pieces, so that random queries find some of them and nearly find others. */

import fc from 'fast-check';

const pieces = [
  ...[
    '東京',
    '京都',
    '都',
    '東',
    '会議',
    '議会',
    '日本語',
    'にほん',
    'ニホン',
    'ﾆﾎﾝ',
    'が',
    'か\u3099',
    'ﾊﾞﾅﾅ',
    'バナナ',
  ],
  ...[
    'foo',
    'Foo',
    'FOO',
    'oof',
    'o',
    'bar',
    'ﬁn',
    'fin',
    'Straße',
    'strasse',
    'é',
    'e\u0301',
    'x',
    '1',
    '１',
    '$a',
    '\\',
    "'",
  ],
  ...['👍', '👍🏽', '👩‍👩‍👧', '👩', '𠮷', '한국', '\u1112\u1161\u11ab', '한', '㌔', 'キロ', '%', '_', '"', '.*'],
];
const blanks = [' ', '', '', '\u3000', '\n', '\u200b'];

export const arbitraryText: fc.Arbitrary<string> = fc
  .array(fc.tuple(fc.constantFrom(...pieces), fc.constantFrom(...blanks)), { minLength: 1, maxLength: 8 })
  .map((parts) => parts.flat().join(''));

export const arbitraryQuery: fc.Arbitrary<string> = fc
  .array(fc.tuple(fc.constantFrom(...pieces), fc.constantFrom(...blanks, '"')), {
    minLength: 1,
    maxLength: 3,
  })
  .map((parts) => parts.flat().join(''));
