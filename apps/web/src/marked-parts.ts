/** A text cut at its highlights. Pure. */

export type TextPart = { readonly text: string; readonly isMarked: boolean };

export const markedParts = (
  text: string,
  highlights: readonly (readonly [start: number, end: number])[],
): readonly TextPart[] => {
  const parts: TextPart[] = [];
  let at = 0;
  for (const [start, end] of highlights) {
    if (start > at) parts.push({ text: text.slice(at, start), isMarked: false });
    parts.push({ text: text.slice(start, end), isMarked: true });
    at = end;
  }
  if (at < text.length) parts.push({ text: text.slice(at), isMarked: false });
  return parts;
};
