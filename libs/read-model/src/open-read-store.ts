/**
 * The read store that a process chose, behind a guard of its own: so many questions at once, a breaker, and a probe that
 * finds out when the store answers again. Connects with the first question.
 */

import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import { isServerTrouble } from '@chat/platform/postgres/sqlstate';
import type { BreakerState } from '@chat/platform/resilience/breaker';
import { createGuard } from '@chat/platform/resilience/guard';
import type { OpenVersion, VersionId, ViewStore } from './catalog/view-store.ts';
import { mongoPools } from './mongo/pool-metrics.ts';
import { openMongoStore } from './mongo/store.ts';
import { openPostgresStore } from './postgres/store.ts';

export type ReadStoreOptions = {
  readonly kind: 'postgres' | 'mongodb';
  readonly url: string;
  /** Connections; as many questions run at once. */
  readonly maxCount: number;
  /** Seen by operators of the database; its breaker is `<name>-<kind>`. */
  readonly name: string;
  /** READ_TIMEOUT_MS or WRITE_TIMEOUT_MS. */
  readonly timeoutMs: number;
  readonly metrics: Metrics;
  readonly log: Logger;
};

type Run = <T>(fn: () => Promise<T>) => Promise<T>;

/** Every question throws UnavailableFault while the breaker is open, OverloadedFault when too many wait. */
export type ReadStore = ViewStore & {
  readonly run: Run;
  /** For what a question waits for that has its place already. */
  readonly unguarded: ViewStore;
  breakerState(): BreakerState;
  close(): Promise<void>;
};

/** Beyond these a question is refused at once: they would wait longer than anybody waits for them. */
const WAITING_PER_CONNECTION = 20;

export const openReadStore = (options: ReadStoreOptions): ReadStore => {
  const { kind, name, maxCount, log, metrics } = options;
  mongoPools(metrics);
  const store = kind === 'mongodb' ? openMongoStore(options) : openPostgresStore(options);
  const guard = createGuard({
    name: `${name}-${kind}`,
    isFailure: isServerTrouble,
    activeMaxCount: maxCount,
    waitingMaxCount: maxCount * WAITING_PER_CONNECTION,
    probe: () => store.catalog.read(),
    log,
    metrics,
  });
  const { run } = guard;
  return {
    run,
    unguarded: store,
    views: store.views,
    catalog: {
      prepare: () => store.catalog.prepare(),
      read: () => run(() => store.catalog.read()),
      swap: (entry) => run(() => store.catalog.swap(entry)),
    },
    open: openedOnce((id) => guardedVersion(store.open(id), run)),
    // By an operator, one at a time, and long: not counted among the questions.
    openDrift: (id) => store.openDrift(id),
    prepareVersion: (id) => store.prepareVersion(id),
    analyzeVersion: (id) => store.analyzeVersion(id),
    dropVersion: (id) => store.dropVersion(id),
    listVersions: () => run(() => store.listVersions()),
    breakerState: guard.state,
    close: async () => {
      await guard.stop();
      await store.close();
    },
  };
};

/** As many as there were versions in the life of the process: a few. */
const openedOnce = (open: (id: VersionId) => OpenVersion): ((id: VersionId) => OpenVersion) => {
  const opened = new Map<string, OpenVersion>();
  return (id) => {
    const key = `${id.view}-${id.version}`;
    const found = opened.get(key) ?? open(id);
    opened.set(key, found);
    return found;
  };
};

const guardedVersion = ({ core, search, target }: OpenVersion, run: Run): OpenVersion => {
  if (core) {
    const guarded = everyCall(core, run);
    return { target: guarded, core: guarded };
  }
  if (search) {
    const guarded = everyCall(search, run);
    return { target: guarded, search: guarded };
  }
  return { target: everyCall(target, run) };
};

type Calls = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>;

/** The same port, each call of it through `run`. */
export const everyCall = <T extends { readonly [K in keyof T]: Calls[string] }>(port: T, run: Run): T =>
  Object.fromEntries(
    Object.entries<Calls[string]>(port).map(([name, call]) => [
      name,
      (...args: never[]) => run(() => call(...args)),
    ]),
  ) as T;
