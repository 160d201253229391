/**
 * Text as it is compared: NFKC, case folded, without what is invisible, white space as one blank. So `ﾃｽﾄ` is found as
 * `テスト`, `ﬁn` as `fin`, `Straße` as `STRASSE`, `ＡＢＣ` as `abc`.
 *
 * It is folded segment by segment: a code point with all that combines with it. What a segment folds to depends on nothing
 * around it, so a piece of a text, cut between segments, folds to the same piece of the folded text; and each
 * place in the folded text leads back to a range of the original, which normalising as a whole would not allow.
 */

export type FoldedText = {
  readonly folded: string;
  /** UTF-16 units [from, to) of `folded` as a range [start, end) of whole segments of the original. Not for empty ranges. */
  rangeOf(from: number, to: number): readonly [start: number, end: number];
};

/** Combines with what stands before it: marks, conjoining vowels and finals of Hangul, invisible ones, skin tones. */
const combining = /^[\p{M}\p{Default_Ignorable_Code_Point}\p{Emoji_Modifier}\u1160-\u11ff]/u;
const ignorable = /\p{Default_Ignorable_Code_Point}/gu;
/** Controls are blanks too: PostgreSQL takes no NUL, and nobody can see one. */
const blank = /^[\s\p{Cc}]+$/u;
const ZERO_WIDTH_JOINER = 0x200d;

/** Letters of Japanese and Chinese that fold to themselves; most of such a text, and quick to tell. */
const isPlain = (code: number): boolean =>
  (code >= 0x3041 && code <= 0x3096) ||
  (code >= 0x30a1 && code <= 0x30fa) ||
  (code >= 0x4e00 && code <= 0x9fff);

/** Letters whose folding is remembered: those of the first two planes, at most that many. */
const REMEMBERED_MAX_CODE = 0x1ffff;

/**
 * Normalising a letter takes a microsecond: long texts in letters that are not ASCII would hold up the process for seconds, and the
 * transaction they are written in for longer than it may be silent.
 */
const remembered = <T extends string | boolean>(make: (letter: string) => T): ((code: number) => T) => {
  const known = new Map<number, T>();
  return (code) => {
    const found = known.get(code);
    if (found !== undefined) return found;
    const made = make(String.fromCodePoint(code));
    if (code <= REMEMBERED_MAX_CODE) known.set(code, made);
    return made;
  };
};

const isCombining = remembered((letter) => combining.test(letter.normalize('NFKD')));

const combines = (text: string, at: number, code: number): boolean => {
  if (code < 0x300) return code === 0xad;
  if (isPlain(code)) return false;
  return text.codePointAt(at - 1) === ZERO_WIDTH_JOINER || isCombining(code);
};

/** `visit` gets what each segment folds to, in order. */
const eachSegment = (text: string, visit: (folded: string, start: number, end: number) => void): void => {
  let start = 0;
  for (let at = 0; at < text.length;) {
    const code = text.codePointAt(at) ?? 0;
    if (at > start && !combines(text, at, code)) {
      visit(foldSegment(text, start, at), start, at);
      start = at;
    }
    at += code > 0xffff ? 2 : 1;
  }
  if (start < text.length) visit(foldSegment(text, start, text.length), start, text.length);
};

const foldSegment = (text: string, start: number, end: number): string => {
  const code = text.charCodeAt(start);
  if (end - start === 1) {
    if (code >= 0x61 && code <= 0x7a) return text.charAt(start);
    if (code < 0x80) return code <= 0x20 || code === 0x7f ? ' ' : text.charAt(start).toLowerCase();
    if (isPlain(code)) return text.charAt(start);
  }
  const letter = text.codePointAt(start) ?? 0;
  return end - start === (letter > 0xffff ? 2 : 1) ? foldLetter(letter) : foldWhole(text.slice(start, end));
};

const foldWhole = (segment: string): string => {
  let folded = '';
  const compatible = segment.replace(ignorable, '').normalize('NFKC');
  // There and back, each letter by itself: `ß` and `ẞ` become `ss`, and a sigma is the same at the end of a word.
  for (const letter of compatible) {
    for (const upper of letter.toLowerCase().toUpperCase()) folded += upper.toLowerCase();
  }
  folded = folded.normalize('NFKC').replace(ignorable, '');
  return blank.test(folded) ? ' ' : folded;
};
const foldLetter = remembered(foldWhole);

/** What needs no look at each character: printable ASCII without runs of blanks. */
const isSimple = (text: string): boolean => !/[^\x20-\x7e]| {2}/.test(text);

export const foldText = (text: string): string => {
  if (isSimple(text)) return text.toLowerCase();
  let folded = '';
  // Told by the part: to look at the end of what is joined so far copies it all.
  let endsBlank = false;
  eachSegment(text, (part) => {
    if (part === ' ' && endsBlank) return;
    folded += part;
    if (part !== '') endsBlank = part.endsWith(' ');
  });
  return folded;
};

/** As `foldText`, with the way back. */
export const foldWithOrigin = (text: string): FoldedText => {
  if (isSimple(text)) return { folded: text.toLowerCase(), rangeOf: (from, to) => [from, to] };
  let folded = '';
  // Of the segment that each unit came from.
  const starts: number[] = [];
  const ends: number[] = [];
  eachSegment(text, (part, start, end) => {
    if (part === ' ' && folded.endsWith(' ')) {
      ends[ends.length - 1] = end;
      return;
    }
    folded += part;
    for (let unit = 0; unit < part.length; unit += 1) {
      starts.push(start);
      ends.push(end);
    }
  });
  return { folded, rangeOf: (from, to) => [starts[from] ?? 0, ends[to - 1] ?? text.length] };
};
