/**
 * Tells a person how a rebuild goes, until it has ended. It only looks: the projectors build and switch, whether or not
 * anybody watches.
 */

import { pause } from '@chat/platform/resilience/backoff';
import type { OpsInput } from '../ops/ops-handler.ts';
import { type RunDeps, runHandler } from '../ops/run-handler.ts';

const INTERVAL_MS = 1_000;
/** The rate is that of this many looks. */
const WINDOW_COUNT = 10;

type Status = {
  readonly live: number;
  readonly building?: number;
  readonly appliedCount: number;
  readonly headCount: number;
};
type Sample = { readonly atMs: number; readonly count: number };

/** True when the version that was begun is live. */
export const watchRebuild = async (
  deps: RunDeps,
  input: OpsInput,
  begun: object,
  print: (line: string) => void,
): Promise<boolean> => {
  const { version } = begun as { readonly version: number };
  const samples: Sample[] = [];
  while (!deps.signal.aborted) {
    const answer = await runHandler(deps, 'rebuild.status', input);
    if (answer.kind === 'refused') print(`${answer.code}: ${answer.message}`);
    else {
      const status = answer.value as Status;
      if (status.building !== version) {
        const isLive = status.live >= version;
        print(isLive ? `version ${version} is live` : `version ${version} was given up`);
        return isLive;
      }
      samples.push({ atMs: performance.now(), count: status.appliedCount });
      if (samples.length > WINDOW_COUNT) samples.shift();
      print(progressLine(status, rateOf(samples)));
    }
    await pause(INTERVAL_MS, deps.signal);
  }
  return false;
};

/** Events a second; undefined before two looks. */
const rateOf = (samples: readonly Sample[]): number | undefined => {
  const [first] = samples;
  const last = samples.at(-1);
  if (!first || !last || last.atMs <= first.atMs) return undefined;
  return ((last.count - first.count) * 1_000) / (last.atMs - first.atMs);
};

export const progressLine = (
  { appliedCount, headCount }: Pick<Status, 'appliedCount' | 'headCount'>,
  ratePerS: number | undefined,
): string => {
  const percent = headCount === 0 ? 100 : (appliedCount / headCount) * 100;
  const left = headCount - appliedCount;
  const rate = ratePerS === undefined ? '' : `, ${Math.round(ratePerS)} events/s`;
  const estimate =
    ratePerS !== undefined && ratePerS > 0 && left > 0 ? `, about ${Math.ceil(left / ratePerS)} s left` : '';
  return `${percent.toFixed(1)} % (${appliedCount} of ${headCount})${rate}${estimate}`;
};
