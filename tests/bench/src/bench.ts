/** Alternates raw and ours, scenario by scenario, and keeps the rounds. */

import type { LoadPlan } from './load-plan.ts';
import { type Round, runRound } from './measure.ts';
import type { Scenario } from './scenarios.ts';
import { waitForQuiet } from './quiet.ts';
import { type Target, usersOf } from './target.ts';

export type Pair = { readonly raw: Round; readonly ours: Round };
export type ScenarioResult = { readonly scenario: Scenario; readonly pairs: readonly Pair[] };

export type BenchDeps = {
  readonly raw: Target;
  readonly ours: Target;
  readonly measureMs: number;
  readonly warmupMs: number;
  readonly roundCount: number;
  /** A pair during which others used more cores than this is measured again, while `deadlineMs` is not reached. */
  readonly othersMaxCores: number;
  /** Of `performance.now`. After it a busy machine is taken as it is. */
  readonly deadlineMs: number;
  readonly say: (line: string) => void;
};

/** Handshakes at once: enough to be quick, few enough for the accept queue. */
const CONNECTING_MAX_COUNT = 32;

export const runOn = async (
  target: Target,
  scenario: Scenario,
  deps: Pick<BenchDeps, 'measureMs' | 'warmupMs'>,
): Promise<Round> => {
  const { measureMs, warmupMs } = deps;
  const channels = await target.channelsOf(scenario, usersOf(scenario));
  const { textBytes, inFlightCount, senders } = scenario;
  const shape = { textBytes, inFlightCount, senders, warmupMs, measureMs };
  const plan: LoadPlan = { ...target.address, channels, ...shape, connectingMaxCount: CONNECTING_MAX_COUNT };
  const round = await runRound(plan, target.clocks);
  const faults = [...round.load.faults, ...target.faults()];
  return { ...round, load: { ...round.load, faults } };
};

export const perSecond = (round: Round, unit: Scenario['unit']): number =>
  (unit === 'messages' ? round.load.messageCount : round.load.deliveryCount) / round.load.seconds;

const runPair = async (scenario: Scenario, deps: BenchDeps): Promise<Pair> => {
  const clocks = () => ({ ...deps.raw.clocks(), ...deps.ours.clocks() });
  for (;;) {
    await waitForQuiet({ clocks, othersMaxCores: deps.othersMaxCores }, deps.deadlineMs);
    const raw = await runOn(deps.raw, scenario, deps);
    const ours = await runOn(deps.ours, scenario, deps);
    const others = Math.max(raw.othersCores, ours.othersCores);
    // What went wrong is kept, however busy the machine was.
    const isKept =
      raw.load.faults.length + ours.load.faults.length > 0 || performance.now() >= deps.deadlineMs;
    if (others <= deps.othersMaxCores || isKept) return { raw, ours };
    deps.say(`${scenario.name}: others used ${others.toFixed(2)} cores, measured again`);
  }
};

export const runScenario = async (scenario: Scenario, deps: BenchDeps): Promise<ScenarioResult> => {
  const pairs: Pair[] = [];
  for (let round = 1; round <= deps.roundCount; round += 1) {
    const pair = await runPair(scenario, deps);
    pairs.push(pair);
    const rate = (of: Round): string => Math.round(perSecond(of, scenario.unit)).toLocaleString('en');
    deps.say(
      `${scenario.name} round ${round}: raw ${rate(pair.raw)}, ours ${rate(pair.ours)} ${scenario.unit}/s`,
    );
  }
  return { scenario, pairs };
};
