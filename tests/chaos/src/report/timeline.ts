/** The picture of a round: throughput, latency, memory and streams over one time axis, faults and recoveries as bands. */

import type { Sample } from '../sampler.ts';
import type { Statistics } from '../statistics.ts';
import { type Panel, WIDTH, band, bars, colourOf, frame, legend, line, niceMax } from './svg.ts';

const PANEL_HEIGHT = 110;
const PANEL_STEP = 175;
const TOP = 40;
const HEIGHT = TOP + 4 * PANEL_STEP;

const seriesOf = (
  samples: readonly Sample[],
  pickValues: (sample: Sample) => Readonly<Record<string, number>>,
): readonly (readonly [string, readonly (readonly [number, number])[]])[] => {
  const names = [...new Set(samples.flatMap((sample) => Object.keys(pickValues(sample))))];
  return names.map((name) => [
    name,
    samples.flatMap((sample) => {
      const value = pickValues(sample)[name];
      return value === undefined ? [] : [[sample.atMs, value] as const];
    }),
  ]);
};

const faultBands = (panel: Panel, { faults }: Statistics): string =>
  faults
    .map(({ target, action, atMs, healedAtMs, recoveryMs, blastShare }) => {
      const text = `${action} of ${target}, blast radius ${Math.round(blastShare * 100)} %`;
      const recovery = recoveryMs ?? panel.xMax - healedAtMs;
      return (
        band(panel, healedAtMs, healedAtMs + recovery, 'recovery', `recovery ${Math.round(recovery)} ms`) +
        band(panel, atMs, healedAtMs, 'fault', text)
      );
    })
    .join('');

export const timeline = (statistics: Statistics, samples: readonly Sample[]): string => {
  const xMax = Math.max(1_000, statistics.durationMs);
  const { seconds } = statistics;
  const panelAt = (i: number, title: string, unit: string, highest: number): Panel => ({
    title,
    unit,
    top: TOP + i * PANEL_STEP,
    height: PANEL_HEIGHT,
    xMax,
    yMax: niceMax(highest),
  });
  const throughput = panelAt(0, 'Persisted', 'messages/s', Math.max(...seconds.map((s) => s.ackCount), 1));
  const latency = panelAt(1, 'Send to persisted', 'ms', Math.max(...seconds.map((s) => s.p99Ms), 1));
  const memory = seriesOf(samples, ({ rssBytes }) => rssBytes);
  const streams = seriesOf(samples, ({ streamBytes }) => streamBytes);
  const highest = (series: typeof memory): number =>
    Math.max(1, ...series.flatMap(([, points]) => points.map(([, value]) => value)));
  const memoryPanel = panelAt(2, 'Memory', 'bytes resident, by process', highest(memory));
  const streamPanel = panelAt(3, 'Streams', 'bytes stored', highest(streams));
  const latencyLine = (key: 'p50Ms' | 'p99Ms'): readonly (readonly [number, number])[] =>
    seconds.flatMap((second, i) => (second.ackCount > 0 ? [[i * 1000 + 500, second[key]] as const] : []));
  const lines = (panel: Panel, series: typeof memory): string =>
    series.map(([, points], i) => line(panel, points, colourOf(i))).join('') +
    legend(
      series.map(([name], i) => [name, colourOf(i)]),
      panel.top + PANEL_HEIGHT + 32,
    );
  const panels = [throughput, latency, memoryPanel, streamPanel];
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Timeline of the run">`,
    ...panels.map((panel) => faultBands(panel, statistics) + frame(panel)),
    bars(
      throughput,
      seconds.map(({ ackCount }) => ackCount),
      1_000,
      '#4c8dc9',
    ),
    line(latency, latencyLine('p50Ms'), colourOf(2)),
    line(latency, latencyLine('p99Ms'), colourOf(1)),
    legend(
      [
        ['p50', colourOf(2)],
        ['p99', colourOf(1)],
        ['fault', '#f2a0a0'],
        ['recovery', '#f6dfa4'],
      ],
      latency.top + PANEL_HEIGHT + 32,
    ),
    lines(memoryPanel, memory),
    lines(streamPanel, streams),
    '</svg>',
  ].join('\n');
};
