/** One situation for one alert: series as promtool writes them, a sample every 15 s. */

export type Case = {
  readonly alert: string;
  readonly when: string;
  readonly isFiring: boolean;
  readonly series: Readonly<Record<string, string>>;
  readonly at: string;
};

type Series = Readonly<Record<string, string>>;

export const fires = (alert: string, when: string, at: string, series: Series): Case => ({
  alert,
  when,
  isFiring: true,
  series,
  at,
});
export const quiet = (alert: string, when: string, at: string, series: Series): Case => ({
  alert,
  when,
  isFiring: false,
  series,
  at,
});

/** The unit test of promtool (JSON is YAML). Cases of equal series and time share one simulated run. */
export const promtoolFile = (cases: readonly Case[], ruleFiles: readonly string[]): string => {
  const runs = Map.groupBy(cases, ({ series, at }) => JSON.stringify([series, at]));
  return JSON.stringify({
    rule_files: ruleFiles,
    evaluation_interval: '30s',
    tests: [...runs.values()].map((same) => ({
      interval: '15s',
      input_series: Object.entries(same[0]?.series ?? {}).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: same.map(({ alert, isFiring, at }) => ({
        expr: `sgn(count(ALERTS{alertname="${alert}", alertstate="firing"})) or vector(0)`,
        eval_time: at,
        exp_samples: [{ labels: '{}', value: isFiring ? 1 : 0 }],
      })),
    })),
  });
};
