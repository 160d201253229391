/** Where the needles of a query stand in a text, for the reader's eye. */

import { foldWithOrigin } from './text.ts';

/** UTF-16 units of the original text, [start, end). */
export type Highlight = readonly [start: number, end: number];

/** A text full of hits shows its first ones. */
export const HIGHLIGHTS_MAX_COUNT = 100;

/** Ascending, apart from one another, never in the middle of a character or of what combines with it. */
export const highlightsOf = (text: string, needles: readonly string[]): readonly Highlight[] => {
  const { folded, rangeOf } = foldWithOrigin(text);
  const found = needles.flatMap((needle) => placesOf(folded, needle));
  const ranges = found.map(([from, to]): Highlight => rangeOf(from, to)).sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [start, end] of ranges) {
    const last = joined.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else joined.push([start, end]);
  }
  return joined.slice(0, HIGHLIGHTS_MAX_COUNT);
};

const placesOf = (folded: string, needle: string): Highlight[] => {
  const places: Highlight[] = [];
  // Those of a needle may lie on top of each other before they are joined, hence more than are shown.
  for (let at = folded.indexOf(needle); at >= 0; at = folded.indexOf(needle, at + 1)) {
    places.push([at, at + needle.length]);
    if (places.length >= 4 * HIGHLIGHTS_MAX_COUNT) break;
  }
  return places;
};
