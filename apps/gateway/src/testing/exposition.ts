/** Reads numbers out of the text exposition format. */

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;

/** The sum of the samples of this name that carry these labels. */
export const sumOf = (text: string, name: string, labels: Readonly<Record<string, string>>): number => {
  let sum = 0;
  for (const line of text.split('\n')) {
    const [, found, inBraces = '', value] = LINE.exec(line) ?? [];
    if (found !== name) continue;
    const wanted = Object.entries(labels).map(([label, word]) => `${label}="${word}"`);
    const parts = inBraces.split(',');
    if (wanted.every((part) => parts.includes(part))) sum += Number(value);
  }
  return sum;
};
