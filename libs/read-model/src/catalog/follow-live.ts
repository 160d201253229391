/**
 * A view's live version as one port, for processes that answer from it: each question goes to the version that the
 * catalogue calls live, and a switch is seen by nobody.
 *
 * States: unknown → on a version ⇄ handing over. The first question looks at the catalogue, then it is looked at every
 * `intervalMs`.
 *
 * - **No answer from what was dropped.** A look vouches for the version for TRUST_MS from before it was asked; a version
 *   that stops being live is kept for longer than that (VIEW_GRACE_MIN_MS). An answer that comes later is held until a new
 *   look has said the same, else it is asked again: MongoDB answers from a dropped database as if it were empty. Where the
 *   store refuses (a dropped table), the catalogue is looked at, and the question asked again if it names another version.
 * - **No answer older than one before.** The versions are projected apart from each other, so the next one may be some
 *   events behind what was answered already. At the handover questions wait (HANDOVER_MAX_MS) until the next version
 *   has reached, in every partition, the newest that was answered; a checkpoint that is answered by the old one after
 *   the handover is asked again. So who saw that minSeq is reached reads from a version that has it.
 */

import type { Logger } from '@chat/platform/log';
import { UnavailableFault, reasonOf } from '@chat/platform/faults';
import { pause } from '@chat/platform/resilience/backoff';
import { type Service, onceAsync } from '@chat/platform/service';
import { type TeamId, parseTeamId, partitionOf } from '@chat/contracts/ids';
import type { ProjectionTarget } from '../port.ts';
import { type Catalog, type ViewName, liveVersion } from './catalog.ts';
import type { ReadStore } from '../open-read-store.ts';
import type { OpenVersion } from './view-store.ts';

/** A version that was replaced must be kept for at least this long. */
export const VIEW_GRACE_MIN_MS = 2_000;
const TRUST_MS = 1_000;
const HANDOVER_MAX_MS = 500;
const HANDOVER_POLL_MS = 5;
/** After a handover that did not come to its end in time; the old version answers meanwhile. */
const HANDOVER_AGAIN_MS = 2_000;
const ASK_MAX_COUNT = 4;

type Call = (...args: never[]) => Promise<unknown>;
type Port<T> = { readonly [K in keyof T]: Call };
type Seen = { readonly epoch: string; readonly seq: number };

export type FollowLiveDeps<T> = {
  readonly store: Pick<ReadStore, 'open' | 'run' | 'unguarded'>;
  readonly view: ViewName;
  readonly portOf: (open: OpenVersion) => T | undefined;
  readonly intervalMs: number;
  readonly log: Logger;
};

export type LiveView<T> = Service & {
  readonly port: T;
  /** Undefined before the first look. */
  version(): number | undefined;
};

type Current<T> = {
  readonly version: number;
  readonly port: T;
  readonly unguarded: Pick<ProjectionTarget, 'checkpoint'>;
  /** When the last look was begun that found it live, or kept. */
  vouchedAtMs: number;
};

export const followLive = <T extends Port<T>>(deps: FollowLiveDeps<T>): LiveView<T> => {
  const { store, view, intervalMs, log } = deps;
  const abort = new AbortController();
  const newest = new Map<number, Seen>();
  let current: Current<T> | undefined;
  let looking: Promise<void> | undefined;
  let handover: Promise<void> | undefined;
  let handoverAgainMs = 0;
  let running: Promise<void> = Promise.resolve();

  const openVersion = (version: number): Current<T> => {
    const open = store.open({ view, version });
    const port = deps.portOf(open);
    if (!port) throw new Error(`version ${version} of ${view} is not of this view`);
    const { target } = store.unguarded.open({ view, version });
    return { version, port, unguarded: target, vouchedAtMs: -Infinity };
  };

  /**
   * As part of a question: refused at once while the store is in trouble. It has its place among the questions, so what
   * a look asks takes none of its own (it would wait for those who wait for it).
   */
  const lookForAnswer = (): Promise<void> => store.run(look);
  const look = (): Promise<void> => (looking ??= lookOnce().finally(() => (looking = undefined)));

  const lookOnce = async (): Promise<void> => {
    const askedAtMs = performance.now();
    const catalog = await store.unguarded.catalog.read();
    const { version } = liveVersion(catalog.entries[view]);
    if (current === undefined) current = openVersion(version);
    else if (current.version !== version) await goOver(current, openVersion(version), catalog);
    current.vouchedAtMs = askedAtMs;
  };

  const goOver = async (from: Current<T>, to: Current<T>, catalog: Catalog): Promise<void> => {
    if (performance.now() < handoverAgainMs && !isNearItsEnd(from, catalog)) return;
    let release = (): void => undefined;
    handover = new Promise((resolve) => (release = resolve));
    try {
      const isReached = await reached(to, performance.now() + HANDOVER_MAX_MS);
      if (!isReached && !isNearItsEnd(from, catalog)) {
        handoverAgainMs = performance.now() + HANDOVER_AGAIN_MS;
        log.warn({ view, version: to.version }, 'the new version is behind what was answered already');
        return;
      }
      current = to;
      newest.clear();
      log.info({ view, from: from.version, version: to.version }, 'answers come from another version');
    } finally {
      handover = undefined;
      release();
    }
  };

  /** It may be dropped before the next look is through. */
  const isNearItsEnd = ({ version }: Current<T>, { entries, nowMs }: Catalog): boolean => {
    const found = entries[view].versions.find((one) => one.version === version);
    return found === undefined || (found.dropAfterMs ?? 0) - nowMs < TRUST_MS + HANDOVER_MAX_MS;
  };

  /** Compared after the last await: what is answered meanwhile counts too. */
  const reached = async ({ unguarded }: Current<T>, untilMs: number): Promise<boolean> => {
    for (;;) {
      const partitions = [...newest.keys()];
      const found = await Promise.all(partitions.map((partition) => unguarded.checkpoint(partition)));
      const seqs = new Map(partitions.map((partition, at) => [partition, found[at]]));
      const isBehind = [...newest].some(([partition, { epoch, seq }]) => {
        const checkpoint = seqs.get(partition);
        // Of another epoch: its numbers say nothing about each other.
        return checkpoint === undefined || (checkpoint.epoch === epoch && checkpoint.seq < seq);
      });
      if (!isBehind) return true;
      if (performance.now() >= untilMs) return false;
      await pause(HANDOVER_POLL_MS);
    }
  };

  const isVouchedFor = ({ vouchedAtMs }: Current<T>): boolean => performance.now() - vouchedAtMs <= TRUST_MS;

  const trusted = async (): Promise<Current<T>> => {
    if (handover) await handover;
    if (current === undefined || !isVouchedFor(current)) await lookForAnswer();
    if (current === undefined) throw new UnavailableFault(`the live version of ${view} is not known yet`);
    return current;
  };

  const note = (name: string, [first]: readonly unknown[], answer: unknown): void => {
    const stamp = stampOf(name, first, answer);
    if (!stamp) return;
    const known = newest.get(stamp.partition);
    if (known?.epoch !== stamp.epoch || known.seq < stamp.seq) newest.set(stamp.partition, stamp);
  };

  const ask = async (name: keyof T & string, args: never[]): Promise<unknown> => {
    for (let count = 0; count < ASK_MAX_COUNT; count += 1) {
      const asked = await trusted();
      let answer: unknown;
      try {
        answer = await asked.port[name](...args);
      } catch (error) {
        if (error instanceof UnavailableFault) throw error;
        await lookForAnswer();
        if (current === asked) throw error;
        continue;
      }
      if (!isVouchedFor(asked)) {
        await lookForAnswer();
        if (current !== asked) continue;
      }
      if (current === asked) note(name, args, answer);
      else if (name === 'checkpoint') continue;
      return answer;
    }
    throw new UnavailableFault(`${view} changed its version with every answer`);
  };

  const names = Object.keys(openVersion(1).port) as (keyof T & string)[];
  const port = Object.fromEntries(names.map((name) => [name, (...args: never[]) => ask(name, args)])) as T;

  const run = async (): Promise<void> => {
    let failedCount = 0;
    while (!abort.signal.aborted) {
      await look().then(
        () => (failedCount = 0),
        (error: unknown) => {
          failedCount += 1;
          if (failedCount % 20 === 1)
            log.warn({ view, reason: reasonOf(error) }, 'the catalogue cannot be read');
        },
      );
      await pause(intervalMs, abort.signal);
    }
  };

  return {
    port,
    version: () => current?.version,
    start: onceAsync(async () => {
      running = run();
    }),
    stop: onceAsync(async () => {
      abort.abort();
      await running;
    }),
  };
};

/** How far an answer reached, and in which partition. */
const stampOf = (
  name: string,
  first: unknown,
  answer: unknown,
): (Seen & { readonly partition: number }) | undefined => {
  const { epoch, seq, asOf } = (answer ?? {}) as { epoch?: unknown; seq?: unknown; asOf?: unknown };
  if (typeof epoch !== 'string') return undefined;
  if (name === 'checkpoint')
    return typeof seq === 'number' ? { partition: first as number, epoch, seq } : undefined;
  const teamId = parseTeamId(teamOf(first));
  return teamId !== undefined && typeof asOf === 'number'
    ? { partition: partitionOf(teamId), epoch, seq: asOf }
    : undefined;
};

/** A question names its team first, or in its request. */
const teamOf = (first: unknown): unknown =>
  typeof first === 'string' ? first : (first as { readonly teamId?: TeamId } | undefined)?.teamId;
