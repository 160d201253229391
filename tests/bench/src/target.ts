/** Something the load client can be pointed at. */

import type { CpuClocks } from './measure.ts';
import type { LoadChannel } from './load-plan.ts';
import type { Scenario } from './scenarios.ts';

export type Target = {
  readonly name: string;
  readonly address: { readonly host: string; readonly port: number };
  /** Makes (once a scenario) the channels and their members; `users` by channel. */
  readonly channelsOf: (
    scenario: Scenario,
    users: readonly (readonly string[])[],
  ) => Promise<readonly LoadChannel[]>;
  readonly clocks: CpuClocks;
  /** What the target itself saw go wrong. */
  readonly faults: () => readonly string[];
  readonly stop: () => Promise<void>;
};

/** Ids of one width, so that elements have one length. */
export const usersOf = (scenario: Scenario): readonly (readonly string[])[] =>
  Array.from({ length: scenario.channelCount }, (_, channel) =>
    Array.from(
      { length: scenario.membersPerChannelCount },
      (__, place) => `b${String(channel * scenario.membersPerChannelCount + place).padStart(6, '0')}`,
    ),
  );
