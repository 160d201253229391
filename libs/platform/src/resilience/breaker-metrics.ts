/** All breakers of a process in two metrics. */

import type { Counter, Registry } from 'prom-client';
import type { Metrics } from '../metrics.ts';
import type { BreakerState } from './breaker.ts';

const numbers: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 };

type Shown = {
  readonly states: Map<string, () => BreakerState>;
  readonly transitions: Counter<'breaker' | 'to'>;
};

const shownBy = new WeakMap<Registry, Shown>();

const show = (metrics: Metrics): Shown => {
  const states = new Map<string, () => BreakerState>();
  metrics.gauge({
    name: 'chat_breaker_state',
    help: '0: closed. 1: half-open. 2: open, the server behind it is not asked.',
    labelNames: ['breaker'],
    collect() {
      for (const [breaker, state] of states) this.set({ breaker }, numbers[state()]);
    },
  });
  const transitions = metrics.counter({
    name: 'chat_breaker_transitions_total',
    help: 'Changes of a breaker to a state.',
    labelNames: ['breaker', 'to'],
  });
  return { states, transitions };
};

export const publishBreaker = (
  metrics: Metrics,
  breaker: string,
  state: () => BreakerState,
): { moved(to: BreakerState): void } => {
  let shown = shownBy.get(metrics.registry);
  if (!shown) shownBy.set(metrics.registry, (shown = show(metrics)));
  const { states, transitions } = shown;
  states.set(breaker, state);
  for (const to of Object.keys(numbers)) transitions.inc({ breaker, to }, 0);
  return { moved: (to) => transitions.inc({ breaker, to }) };
};
