/** Small pieces of SVG: a panel with axes, on which lines, bars and bands are drawn. Text is escaped here and nowhere else. */

export const escapeText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

export type Panel = {
  readonly title: string;
  readonly unit: string;
  readonly top: number;
  readonly height: number;
  readonly xMax: number;
  readonly yMax: number;
};

export const WIDTH = 1_000;
const LEFT = 70;
const RIGHT = 20;

export const colours = [
  '#1f77b4',
  '#d62728',
  '#2ca02c',
  '#9467bd',
  '#ff7f0e',
  '#17becf',
  '#8c564b',
  '#e377c2',
  '#7f7f7f',
  '#bcbd22',
  '#3a3a3a',
] as const;
export const colourOf = (i: number): string => colours[i % colours.length] ?? '#000';

export const xOf = ({ xMax }: Pick<Panel, 'xMax'>, x: number): number =>
  LEFT + (Math.max(0, Math.min(x, xMax)) / xMax) * (WIDTH - LEFT - RIGHT);
export const yOf = ({ top, height, yMax }: Panel, y: number): number =>
  top + height - (Math.min(y, yMax) / yMax) * height;

const round = (value: number): string => value.toFixed(1);
export const short = (value: number): string =>
  value >= 1e9
    ? `${(value / 1e9).toFixed(1)}G`
    : value >= 1e6
      ? `${(value / 1e6).toFixed(1)}M`
      : value >= 1e4
        ? `${(value / 1e3).toFixed(0)}k`
        : String(Math.round(value));

/** A round number not below `value`. */
export const niceMax = (value: number): number => {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10;
  return step * power;
};

export const frame = (panel: Panel): string => {
  const { top, height, xMax, yMax, title, unit } = panel;
  const base = top + height;
  const yTicks = [0, 0.5, 1].map((share) => {
    const y = round(base - share * height);
    return (
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" class="grid"/>` +
      `<text x="${LEFT - 6}" y="${y}" class="tick end">${short(share * yMax)}</text>`
    );
  });
  const every = niceMax(xMax / 12);
  const xTicks = Array.from({ length: Math.floor(xMax / every) + 1 }, (_, i) => {
    const x = round(xOf(panel, i * every));
    return `<text x="${x}" y="${base + 14}" class="tick middle">${Math.round((i * every) / 1000)} s</text>`;
  });
  return (
    `<text x="${LEFT}" y="${top - 8}" class="title">${escapeText(title)} <tspan class="tick">${escapeText(unit)}</tspan></text>` +
    yTicks.join('') +
    xTicks.join('')
  );
};

export const bars = (panel: Panel, values: readonly number[], stepMs: number, colour: string): string =>
  values
    .map((value, i) => {
      const x = xOf(panel, i * stepMs);
      const width = Math.max(0.5, xOf(panel, (i + 1) * stepMs) - x - 0.5);
      const y = yOf(panel, value);
      return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(panel.top + panel.height - y)}" fill="${colour}"/>`;
    })
    .join('');

export const line = (panel: Panel, points: readonly (readonly [number, number])[], colour: string): string =>
  points.length === 0
    ? ''
    : `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points
        .map(([x, y]) => `${round(xOf(panel, x))},${round(yOf(panel, y))}`)
        .join(' ')}"/>`;

export const band = (
  panel: Panel,
  fromMs: number,
  toMs: number,
  className: string,
  label: string,
): string => {
  const x = xOf(panel, fromMs);
  const width = Math.max(1, xOf(panel, toMs) - x);
  return `<rect x="${round(x)}" y="${panel.top}" width="${round(width)}" height="${panel.height}" class="${className}"><title>${escapeText(label)}</title></rect>`;
};

export const legend = (entries: readonly (readonly [string, string])[], y: number): string => {
  let x = LEFT;
  return entries
    .map(([name, colour]) => {
      const at = x;
      x += 24 + name.length * 6.5;
      return `<rect x="${at}" y="${y - 8}" width="10" height="10" fill="${colour}"/><text x="${at + 14}" y="${y}" class="tick">${escapeText(name)}</text>`;
    })
    .join('');
};
