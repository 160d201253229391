/** Which port is whose. One block of consecutive ports, so that two checkouts side by side do not mix. */

import { isPortFree } from '@chat/testkit/servers/ports';
import { Hint } from './hint.ts';
import { PORT_BLOCK_COUNT } from './options.ts';

export const PORTS_FROM_DEFAULT = 8080;
const BLOCK_STEP = 20;
/** Blocks that are tried one after another when none was asked for. */
const BLOCK_TRY_COUNT = 20;

export type PortPlan = {
  readonly from: number;
  readonly api: number;
  readonly gateways: readonly [number, number];
  readonly nats: number;
  readonly postgres: number;
  /** gateway-1, gateway-2, writer, projector, api */
  readonly health: readonly [number, number, number, number, number];
  readonly mongodb: number;
  /** The same five. */
  readonly metrics: readonly [number, number, number, number, number];
};

export const portPlanFrom = (from: number): PortPlan => ({
  from,
  api: from,
  gateways: [from + 1, from + 2],
  nats: from + 3,
  postgres: from + 4,
  health: [from + 5, from + 6, from + 7, from + 8, from + 9],
  metrics: [from + 10, from + 11, from + 12, from + 13, from + 14],
  mongodb: from + 15,
});

const firstTaken = async (from: number): Promise<number | undefined> => {
  for (let port = from; port < from + PORT_BLOCK_COUNT; port += 1) if (!(await isPortFree(port))) return port;
  return undefined;
};

export type ChosenPorts = { readonly plan: PortPlan; readonly note?: string };

/**
 * `asked` was given by a person: a taken port there is a Hint. Otherwise the block of the last start is tried
 * first (an open page finds its server again), then the default and the blocks after it.
 */
export const choosePorts = async (
  asked: number | undefined,
  last: number | undefined,
): Promise<ChosenPorts> => {
  if (asked !== undefined) {
    const taken = await firstTaken(asked);
    if (taken !== undefined)
      throw new Hint(
        `Port ${taken} is taken: stop what listens there, or give other ports with --ports-from N.`,
      );
    return { plan: portPlanFrom(asked) };
  }
  const first = last ?? PORTS_FROM_DEFAULT;
  const candidates = [first];
  for (let i = 0; i < BLOCK_TRY_COUNT; i += 1) candidates.push(PORTS_FROM_DEFAULT + i * BLOCK_STEP);
  for (const from of candidates) {
    if ((await firstTaken(from)) !== undefined) continue;
    if (from === first) return { plan: portPlanFrom(from) };
    const taken = await firstTaken(first);
    const note = `port ${taken ?? first} is taken: the ports ${from} to ${from + PORT_BLOCK_COUNT - 1} are used instead`;
    return { plan: portPlanFrom(from), note };
  }
  throw new Hint(`No block of ${PORT_BLOCK_COUNT} free ports was found: give one with --ports-from N.`);
};
