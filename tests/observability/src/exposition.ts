/** The text exposition format, as far as the tests look into it. */

export type Series = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};
export type Exposition = {
  /** Every metric that is declared, with or without series: name → type. */
  readonly types: ReadonlyMap<string, string>;
  readonly series: readonly Series[];
};

export const parseExposition = (text: string): Exposition => {
  const types = new Map<string, string>();
  const series: Series[] = [];
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type) types.set(type[1] ?? '', type[2] ?? '');
    const one = /^([a-z_:]\w*)(?:\{(.*)\})? (\S+)$/i.exec(line);
    if (!one || line.startsWith('#')) continue;
    const labels = Object.fromEntries(
      [...(one[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    );
    series.push({ name: one[1] ?? '', labels, value: Number(one[3]) });
  }
  return { types, series };
};

export const scrape = async (url: string): Promise<string> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.text();
};
