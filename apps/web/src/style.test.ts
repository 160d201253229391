import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const css = readFileSync(new URL('./style.css', import.meta.url), 'utf8');

/** The colour variables of a `:root` block. */
const schemeOf = (block: string): ReadonlyMap<string, string> =>
  new Map(
    [...block.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6});/g)].map(([, name = '', value = '']) => [name, value]),
  );

const [lightBlock = '', darkBlock = ''] = [...css.matchAll(/:root\s*\{([^}]*)\}/g)].map(([, block]) => block);
const light = schemeOf(lightBlock);
const dark = new Map([...light, ...schemeOf(darkBlock)]);

const channel = (value: number): number =>
  value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = (hex: string): number => {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => channel(parseInt(hex.slice(at, at + 2), 16) / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a: string, b: string): number => {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};

/** Text colour on ground, as the page uses them. */
const pairs: readonly (readonly [string, string])[] = [
  ...['ink', 'ink-2', 'accent', 'bad'].flatMap((ink) =>
    ['ground', 'ground-2'].map((ground) => [ink, ground] as const),
  ),
  ['good', 'ground'],
  ['good', 'ground-2'],
  ['accent-ink', 'accent'],
  ['ink', 'accent-soft'],
  ['accent', 'accent-soft'],
  ['ink-2', 'accent-soft'],
  ['ink', 'ground-3'],
  ['ink-2', 'ground-3'],
  ['ink', 'busy-soft'],
  ['ink', 'bad-soft'],
  ['ink-2', 'bad-soft'],
  ['bad', 'bad-soft'],
  ['accent', 'bad-soft'],
  ['ground', 'ink'],
];

describe.each([
  ['light', light],
  ['dark', dark],
])('in the %s scheme', (_name, scheme) => {
  it.each(pairs)('%s on %s can be read (contrast of 4.5 or more)', (ink, ground) => {
    expect(contrast(scheme.get(ink) ?? '', scheme.get(ground) ?? '')).toBeGreaterThanOrEqual(4.5);
  });
});

it('avatars carry white letters that can be read', () => {
  const hues = [...css.matchAll(/\.hue-\d\s*\{\s*background:\s*(#[0-9a-f]{6})/g)].map(([, hex = '']) => hex);
  expect(hues).toHaveLength(8);
  for (const hex of hues) expect(contrast('#ffffff', hex), hex).toBeGreaterThanOrEqual(4.5);
});

it('nothing is fetched from another host', () => {
  expect(css).not.toMatch(/url\(|@import|https?:/);
});
