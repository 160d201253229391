/** Burn rates: at 16, 8, 4, 2 and 0.5 times the budget each alert fires exactly above its own factor. */

import { type Case, fires, quiet } from './case.ts';

type Slo = {
  readonly alert: string;
  readonly budget: number;
  /** Series in which `share` of 1000 events each 15 s are bad; `values` makes a counter of so many each step. */
  readonly series: (share: number, counter: (eachStep: number) => string) => Readonly<Record<string, string>>;
};

const EACH_STEP = 100_000;
const latency = (metric: string, le: string) => (share: number, counter: (n: number) => string) => ({
  [`${metric}_bucket{le="${le}"}`]: counter(EACH_STEP * (1 - share)),
  [`${metric}_count`]: counter(EACH_STEP),
});

const slos: readonly Slo[] = [
  {
    alert: 'ChatDeliveryErrorBudget',
    budget: 0.005,
    series: (share, counter) => ({
      chat_gateway_deliveries_total: counter(EACH_STEP * (1 - share)),
      chat_gateway_delivery_errors_total: counter(EACH_STEP * share),
    }),
  },
  {
    alert: 'ChatDeliverySlowBudget',
    budget: 0.05,
    series: latency('chat_gateway_delivery_duration_seconds', '0.3'),
  },
  {
    alert: 'ChatApiErrorBudget',
    budget: 0.001,
    series: (share, counter) => ({
      'chat_api_requests_total{status="200"}': counter(EACH_STEP * (1 - share)),
      'chat_api_requests_total{status="503"}': counter(EACH_STEP * share),
    }),
  },
  {
    alert: 'ChatApiSlowBudget',
    budget: 0.05,
    series: latency('chat_api_request_duration_seconds', '0.5'),
  },
];
const levels = [
  ['BurnsFast', 14.4],
  ['Burns', 6],
  ['BurnsSlowly', 3],
  ['Drains', 1],
] as const;
const steady = (eachStep: number): string => `0+${eachStep}x40`;

const atFactor = ({ alert, budget, series }: Slo, factor: number): readonly Case[] =>
  levels.map(([suffix, from]) =>
    (factor > from ? fires : quiet)(
      `${alert}${suffix}`,
      `the budget burns ${factor} times too fast`,
      '8m',
      series(budget * factor, steady),
    ),
  );

/** Ten minutes of trouble, then eight without: the hour is still bad, the last five minutes are not. */
const isOver = ({ alert, budget, series }: Slo): Case => {
  const bad = series(budget * 16, (each) => `0+${each}x40`);
  const good = series(0, (each) => `${each}`);
  const joined = Object.fromEntries(
    Object.entries(bad).map(([name, values]) => {
      const each = Number(good[name]);
      const end = 40 * Number(values.slice(2, values.indexOf('x')));
      return [name, `${values} ${end + each}+${each}x31`];
    }),
  );
  return quiet(`${alert}BurnsFast`, 'the trouble is over', '18m', joined);
};

export const sloCases: readonly Case[] = slos.flatMap((slo) => [
  ...[16, 8, 4, 2, 0.5].flatMap((factor) => atFactor(slo, factor)),
  isOver(slo),
]);
