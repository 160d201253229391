/** `npm run bench -- --only idle-sockets|reconnect-storm|drain [--sockets 10000]`. */

import { parseArgs } from 'node:util';
import { drainSockets } from './drain.ts';
import { idleSockets } from './idle-sockets.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import type { SocketBench } from './socket-bench.ts';

const DRAIN_GRACE_MS = 30_000;
/** Both ends of a socket are on this machine, and it has 28,000 ports for them. */
const SOCKETS_MAX_COUNT = 20_000;

type Planned = { readonly run: SocketBench; readonly socketCount: number };

const benches: Readonly<Record<string, Planned>> = {
  'idle-sockets': { run: idleSockets, socketCount: 10_000 },
  'reconnect-storm': { run: reconnectStorm, socketCount: 10_000 },
  drain: { run: drainSockets, socketCount: 5_000 },
};

const parse = (args: readonly string[]): Planned | undefined => {
  const options = { only: { type: 'string' }, sockets: { type: 'string' } } as const;
  const { values } = parseArgs({ args: [...args], options, strict: false });
  const planned = typeof values.only === 'string' ? benches[values.only] : undefined;
  if (!planned) return undefined;
  const socketCount = values.sockets === undefined ? planned.socketCount : Number(values.sockets);
  return { ...planned, socketCount };
};

const show = (value: number): string =>
  value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 3 : 0 });

/** The exit code; undefined when the command line names none of these benches. */
export const runSocketBenches = async (
  args: readonly string[],
  say: (line: string) => void,
): Promise<number | undefined> => {
  const planned = parse(args);
  if (!planned) return undefined;
  const { run, socketCount } = planned;
  if (!Number.isInteger(socketCount) || socketCount < 1 || socketCount > SOCKETS_MAX_COUNT) {
    say(`--sockets must be a whole number from 1 to ${SOCKETS_MAX_COUNT}`);
    return 64;
  }
  const { figures, notes = [], aims, faults } = await run({ socketCount, drainGraceMs: DRAIN_GRACE_MS });
  for (const [name, value] of Object.entries(figures)) say(`${name}: ${show(value)}`);
  for (const note of [...notes, `aim: ${aims}`]) say(note);
  for (const fault of faults) say(`FAULT ${fault}`);
  return faults.length > 0 ? 1 : 0;
};
