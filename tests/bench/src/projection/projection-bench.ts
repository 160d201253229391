/** `npm run bench -- --only projection [--store postgres|mongodb|both] [--sizes small]`. */

import { parseArgs } from 'node:util';
import { startStackTarget } from '../stack-target.ts';
import { openBenchStore } from './bench-store.ts';
import { withAppender } from './lanes.ts';
import {
  type ProjectionResult,
  type ProjectionSizes,
  measureProjection,
  projectionReport,
  projectionSizes,
} from './projection.ts';

export type ReadStoreName = 'postgres' | 'mongodb';

/** A stack of its own: its writer is stopped and its streams hold what no writer wrote. */
export const projectionOn = async (
  readStore: ReadStoreName,
  sizes: ProjectionSizes,
  say: (line: string) => void,
  profileFolder?: string,
): Promise<ProjectionResult> => {
  const target = await startStackTarget({ readStore, ...(profileFolder ? { profileFolder } : {}) });
  try {
    const store = openBenchStore(target.stack);
    try {
      return await withAppender(target.stack, (appender) =>
        measureProjection({ target, store, appender, sizes, say }),
      );
    } finally {
      await store.close();
    }
  } finally {
    await target.stop();
  }
};

const storesOf = (name: string): readonly ReadStoreName[] | undefined => {
  if (name === 'both') return ['postgres', 'mongodb'];
  return name === 'postgres' || name === 'mongodb' ? [name] : undefined;
};

/** The exit code; undefined when the command line asks for another bench. */
export const runProjectionBench = async (
  args: readonly string[],
  say: (line: string) => void,
): Promise<number | undefined> => {
  const options = {
    only: { type: 'string' },
    store: { type: 'string', default: 'both' },
    sizes: { type: 'string' },
    profile: { type: 'string' },
  } as const;
  const { values } = parseArgs({ args: [...args], options, strict: false });
  if (values.only !== 'projection') return undefined;
  const stores = storesOf(String(values.store));
  if (stores === undefined) {
    say('--store must be postgres, mongodb or both');
    return 64;
  }
  const small = { messagesPerPartitionCount: 2_000, roundCount: 1, lagMs: 2_000 };
  const sizes = { ...projectionSizes, ...(values.sizes === 'small' ? small : {}) };
  const profile = typeof values.profile === 'string' ? values.profile : undefined;
  for (const name of stores) say(projectionReport(name, await projectionOn(name, sizes, say, profile)));
  return 0;
};
