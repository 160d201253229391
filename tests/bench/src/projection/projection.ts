/**
 * `--only projection`: how many events a second the projector brings into the read store from a backlog, against bulk
 * writes of the same documents into the same server in the same run; and how far it lags at 70 % of that.
 *
 * Gateway, writer and api stand still. Rounds alternate: a backlog is appended, the projector starts and works it off
 * (counted from its first checkpoint on), and is stopped; then the same documents are written raw, a lane for each partition and
 * view. First `core` alone (search stands at the end of the stream already), then both views, each against its own documents.
 */

import { type ViewName, viewNames } from '@chat/read-model/catalog/catalog';
import type { MessageRow } from '@chat/read-model/fold';
import { cpuUs } from '../cpu.ts';
import { createHistogram } from '../histogram.ts';
import { median } from '../report.ts';
import type { StackTarget } from '../stack-target.ts';
import { usersOf } from '../target.ts';
import type { Scenario } from '../scenarios.ts';
import type { BenchStore } from './bench-store.ts';
import { type Appender, type Lane, digestOf, lanesOf, nextMessages } from './lanes.ts';

export type ProjectionSizes = {
  readonly channelCount: number;
  readonly membersPerChannelCount: number;
  /** Of a round. */
  readonly messagesPerPartitionCount: number;
  readonly roundCount: number;
  readonly lagMs: number;
};

export const projectionSizes: ProjectionSizes = {
  channelCount: 100,
  membersPerChannelCount: 10,
  messagesPerPartitionCount: 25_000,
  roundCount: 3,
  lagMs: 15_000,
};

export type ProjectionRun = {
  readonly projectedPerSecond: number;
  readonly rawPerSecond: number;
  /** CPU µs an event, by process: of the projection, and of the raw writes. */
  readonly projectedCpuUs: Readonly<Record<string, number>>;
  readonly rawCpuUs: Readonly<Record<string, number>>;
};
/** `core` alone, and with search. */
export type ProjectionRound = { readonly core: ProjectionRun; readonly both: ProjectionRun };
type Lag = { readonly p50Ms: number; readonly p99Ms: number };

export type ProjectionResult = {
  readonly rounds: readonly ProjectionRound[];
  readonly ratio: { readonly core: number; readonly both: number };
  readonly lagPerSecond: number;
  /** From when an event was due in the stream to when a checkpoint of the view beyond it was seen. */
  readonly lag: Readonly<Record<ViewName, Lag>>;
};

export const AIM_RATIO = 0.7;
const LAG_LOAD = 0.7;
/** As BATCH_MAX_COUNT of the projector. */
const RAW_BATCH_COUNT = 1_000;
const POLL_MS = 4;
const TIMEOUT_MS = 120_000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const scenarioOf = (sizes: ProjectionSizes): Scenario => ({
  ...sizes,
  name: 'projection',
  inFlightCount: 1,
  senders: 'together',
  textBytes: 200,
  unit: 'messages',
  aimRatio: undefined,
  barePerSecond: undefined,
});

export type ProjectionDeps = {
  readonly target: StackTarget;
  readonly store: BenchStore;
  readonly appender: Appender;
  readonly sizes: ProjectionSizes;
  readonly say: (line: string) => void;
};

type Clocks = Readonly<Record<string, number>>;
const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);

const perEvent = (before: Clocks, after: Clocks, count: number, names: readonly string[]): Clocks =>
  Object.fromEntries(names.map((name) => [name, ((after[name] ?? 0) - (before[name] ?? 0)) / count]));

/** Polls until every lane is projected in all views; tells when the first checkpoint moved, and what was left to do then. */
const untilProjected = async (
  { store }: ProjectionDeps,
  lanes: readonly Lane[],
  views: readonly ViewName[],
  onFirst: (leftCount: number) => void = () => undefined,
): Promise<void> => {
  const deadlineMs = performance.now() + TIMEOUT_MS;
  let leftAtStart: number | undefined;
  for (;;) {
    const positions = await Promise.all(views.map((view) => store.positions(view)));
    const leftOf = ({ partition, lastSeq }: Lane): number =>
      sum(positions.map((seqs) => lastSeq - (seqs.get(partition) ?? 0)));
    const left = sum(lanes.map(leftOf)) / views.length;
    leftAtStart ??= left;
    if (left < leftAtStart) {
      onFirst(left);
      onFirst = () => undefined;
    }
    if (left === 0) return;
    if (performance.now() > deadlineMs) throw new Error(`${left} events are not projected in time`);
    await wait(POLL_MS);
  }
};

/** One lane after another batch. */
const writeAll = async <R>(rows: readonly R[], write: (batch: readonly R[]) => Promise<void>) => {
  for (let from = 0; from < rows.length; from += RAW_BATCH_COUNT)
    await write(rows.slice(from, from + RAW_BATCH_COUNT));
};

const rawWrites = async (
  { store, target }: ProjectionDeps,
  rows: readonly (readonly MessageRow[])[],
  views: readonly ViewName[],
  server: string,
): Promise<Pick<ProjectionRun, 'rawPerSecond' | 'rawCpuUs'>> => {
  await store.clear();
  const documents = views.includes('search') ? rows.map(store.searchDocuments) : [];
  const count = sum(rows.map(({ length }) => length));
  const read = (): Clocks => ({ ...target.clocks(), client: cpuUs(process.pid) });
  const before = read();
  const startMs = performance.now();
  await Promise.all([
    ...rows.map((lane) => writeAll(lane, store.writeCore)),
    ...documents.map((lane) => writeAll(lane, store.writeSearch)),
  ]);
  const seconds = (performance.now() - startMs) / 1000;
  return { rawPerSecond: count / seconds, rawCpuUs: perEvent(before, read(), count, [server, 'client']) };
};

const runOnce = async (
  deps: ProjectionDeps,
  lanes: readonly Lane[],
  views: readonly ViewName[],
): Promise<ProjectionRun> => {
  const { target, appender, store, sizes } = deps;
  const { stack } = target;
  const server = stack.mongo === undefined ? 'postgres' : 'mongod';
  const rows = lanes.map((lane) => nextMessages(lane, sizes.messagesPerPartitionCount));
  await Promise.all(lanes.map((lane, at) => appender.append(lane, rows[at]!)));
  if (!views.includes('search')) {
    for (const [at, { partition, lastSeq }] of lanes.entries())
      await store.skipSearch(partition, lastSeq, digestOf(rows[at]!.at(-1)!));
  }
  await stack.start('projector-1');
  let first = { ms: 0, left: 0, clocks: target.clocks() };
  await untilProjected(deps, lanes, views, (left) => {
    first = { ms: performance.now(), left, clocks: target.clocks() };
  });
  const seconds = (performance.now() - first.ms) / 1000;
  const projectedCpuUs = perEvent(first.clocks, target.clocks(), first.left, ['projector', server, 'nats']);
  await stack.stop('projector-1');
  const raw = await rawWrites(deps, rows, views, server);
  return { projectedPerSecond: first.left / seconds, projectedCpuUs, ...raw };
};

const ratioOf = ({ projectedPerSecond, rawPerSecond }: ProjectionRun): number =>
  projectedPerSecond / rawPerSecond;

/** Appends at a steady rate, and looks all the time how far the projector is. */
const runLag = async (
  { store, appender, sizes }: ProjectionDeps,
  lanes: readonly Lane[],
  perSecond: number,
): Promise<ProjectionResult['lag']> => {
  const startMs = performance.now();
  const totalCount = Math.round((perSecond * sizes.lagMs) / 1000);
  const laneShare = Math.floor(totalCount / lanes.length);
  const baseSeqs = new Map(lanes.map((lane) => [lane, lane.lastSeq]));
  const dueMs = (number: number): number => startMs + (number * lanes.length * 1000) / perSecond;
  const feed = async (lane: Lane): Promise<void> => {
    for (let sent = 0; sent < laneShare;) {
      const passed = Math.floor(((performance.now() - startMs) * perSecond) / 1000 / lanes.length);
      const count = Math.min(laneShare, passed) - sent;
      if (count > 0) await appender.append(lane, nextMessages(lane, count));
      sent += count;
      await wait(1);
    }
  };
  const look = async (view: ViewName): Promise<Lag> => {
    const histogram = createHistogram();
    const seen = new Map(baseSeqs);
    const deadlineMs = startMs + sizes.lagMs + TIMEOUT_MS;
    while ([...seen].some(([lane, seq]) => seq < baseSeqs.get(lane)! + laneShare)) {
      const positions = await store.positions(view);
      const nowMs = performance.now();
      if (nowMs > deadlineMs) throw new Error('the projector does not follow');
      for (const [lane, from] of seen) {
        const to = positions.get(lane.partition) ?? from;
        for (let seq = from + 1; seq <= to; seq += 1)
          histogram.record((nowMs - dueMs(seq - baseSeqs.get(lane)!)) * 1000);
        seen.set(lane, to);
      }
      await wait(POLL_MS);
    }
    return { p50Ms: histogram.quantileMs(0.5), p99Ms: histogram.quantileMs(0.99) };
  };
  const [core, search] = await Promise.all([look('core'), look('search'), ...lanes.map(feed)]);
  return { core, search };
};

export const measureProjection = async (deps: ProjectionDeps): Promise<ProjectionResult> => {
  const { target, sizes, appender, say } = deps;
  const { stack } = target;
  const lanes = lanesOf(await target.channelsOf(scenarioOf(sizes), usersOf(scenarioOf(sizes))));
  for (const name of ['gateway-1', 'writer-1', 'api-1']) await stack.stop(name);
  for (const lane of lanes) lane.lastSeq = await appender.lastSeqOf(lane);
  await untilProjected(deps, lanes, viewNames);
  await stack.stop('projector-1');
  const rounds: ProjectionRound[] = [];
  for (let at = 1; at <= sizes.roundCount; at += 1) {
    const core = await runOnce(deps, lanes, ['core']);
    const both = await runOnce(deps, lanes, viewNames);
    rounds.push({ core, both });
    for (const [name, run] of [['core', core] as const, ['both', both] as const])
      say(
        `round ${at}, ${name}: projected ${run.projectedPerSecond.toFixed(0)}/s, raw ${run.rawPerSecond.toFixed(0)}/s`,
      );
  }
  const ratio = {
    core: median(rounds.map(({ core }) => ratioOf(core))),
    both: median(rounds.map(({ both }) => ratioOf(both))),
  };
  const lagPerSecond = Math.round(LAG_LOAD * median(rounds.map(({ both }) => both.projectedPerSecond)));
  await stack.start('projector-1');
  await stack.ready('projector-1');
  const lag = await runLag(deps, lanes, lagPerSecond);
  return { rounds, ratio, lagPerSecond, lag };
};

const show = (of: Clocks): string =>
  Object.entries(of)
    .map(([name, us]) => `${name} ${us.toFixed(0)}`)
    .join(', ');

export const projectionReport = (storeName: string, { rounds, ratio, lagPerSecond, lag }: ProjectionResult) =>
  [
    ...(['core', 'both'] as const).flatMap((name) => {
      const runs = rounds.map((round) => round[name]);
      const of = (pick: (run: ProjectionRun) => number): string =>
        Math.round(median(runs.map(pick))).toLocaleString('en');
      const last = runs.at(-1)!;
      const views = name === 'core' ? 'core alone' : 'core and search';
      return [
        `${storeName}, ${views}: projected ${of((run) => run.projectedPerSecond)} events/s, the same documents written raw ` +
          `${of((run) => run.rawPerSecond)} events/s: ${ratio[name].toFixed(2)} (aim ≥ ${AIM_RATIO})`,
        `${storeName}, ${views}: CPU µs an event: projected ${show(last.projectedCpuUs)}; raw ${show(last.rawCpuUs)}`,
      ];
    }),
    ...viewNames.map(
      (view) =>
        `${storeName}, ${view}: lag at ${lagPerSecond} events/s: p50 ${lag[view].p50Ms.toFixed(0)} ms, ` +
        `p99 ${lag[view].p99Ms.toFixed(0)} ms`,
    ),
  ].join('\n');
