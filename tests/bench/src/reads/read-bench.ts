/**
 * `npm run bench -- --only reads [--store postgres|mongodb|both] [--messages 1000000]`: how long a page of history and a search take
 * when a channel has 10⁴, 10⁵, 10⁶ messages. The stores alone, no process between: a server of its own, one question at a time.
 * Held against reading the same number of messages by their keys in the same server, and against the smallest size.
 */

import { parseArgs } from 'node:util';
import { parseSearchQuery } from '@chat/read-model/search/query';
import type { ProjectionTarget, ReadModel } from '@chat/read-model/port';
import type { SearchModel } from '@chat/read-model/search/port';
import { asker, batchOf, channelId, seqOfMessage, teamId, terms } from './read-corpus.ts';
import { type ReadStoreName, withReadStore } from './read-stores.ts';

const SIZES = [10_000, 100_000, 1_000_000];
const BATCH_COUNT = 1_000;
const PAGE_COUNT = 50;
const HITS_COUNT = 20;
/** A question is asked so often, or for so long. */
const ASKED_COUNT = 200;
const ASKED_MAX_MS = 4_000;

export type ReadFigures = {
  readonly messageCount: number;
  readonly loadedPerSecond: number;
  readonly medianMs: Readonly<Record<string, number>>;
  readonly p99Ms: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
};

const load = async (target: ProjectionTarget, fromSeq: number, toSeq: number): Promise<void> => {
  for (let at = fromSeq; at < toSeq; at += BATCH_COUNT) {
    const result = await target.applyBatch(batchOf(at, Math.min(toSeq, at + BATCH_COUNT)));
    if (result.kind !== 'applied') throw new Error(`a batch was answered ${result.kind}`);
  }
};

const timesOf = async (ask: (n: number) => Promise<unknown>): Promise<readonly number[]> => {
  const times: number[] = [];
  const begunMs = performance.now();
  for (let n = 0; n < ASKED_COUNT && performance.now() - begunMs < ASKED_MAX_MS; n += 1) {
    const askedMs = performance.now();
    await ask(n);
    times.push(performance.now() - askedMs);
  }
  return times.sort((a, b) => a - b);
};

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;

/** All pages until there are enough hits, as a person would ask on; how many pages it took does not count here. */
const search = async (model: SearchModel, text: string): Promise<number> => {
  const query = parseSearchQuery(text);
  if (query.kind !== 'query') throw new Error(query.code);
  const { needles, grams } = query;
  const channels = [{ channelId, visibleAfter: 0 }];
  const whole = { teamId, needles, grams, channels, asOf: Number.MAX_SAFE_INTEGER };
  let count = 0;
  for (let below: number | undefined; ;) {
    const page = await model.find({
      ...whole,
      limitCount: HITS_COUNT - count,
      ...(below === undefined ? {} : { below }),
    });
    count += page?.messages.length ?? 0;
    below = page?.nextBelow;
    if (below === undefined || count >= HITS_COUNT) return count;
  }
};

const expectedHits: Readonly<Record<keyof typeof terms, number>> = {
  rare: 1,
  frequent: HITS_COUNT,
  japanese: HITS_COUNT,
  absent: 0,
  deceptive: 0,
};

export const measureReads = async (
  core: ReadModel,
  searchModel: SearchModel,
  readByKey: (fromOrdinal: number, count: number) => Promise<number>,
  messageCount: number,
): Promise<Omit<ReadFigures, 'loadedPerSecond'>> => {
  const faults: string[] = [];
  const expectCount = (what: string, count: number, expected: number): void => {
    if (count !== expected) faults.push(`${what} at ${messageCount}: ${count} instead of ${expected}`);
  };
  const somewhere = (n: number, span: number): number => 1 + ((n * 7_919) % Math.max(1, messageCount - span));
  const history = (page: { readonly before?: number }) =>
    core.messages(teamId, channelId, asker, { limitCount: PAGE_COUNT, ...page });
  const questions: Record<string, (n: number) => Promise<unknown>> = {
    [`${HITS_COUNT} messages by key`]: async (n) =>
      expectCount('by key', await readByKey(somewhere(n, HITS_COUNT), HITS_COUNT), HITS_COUNT),
    'history: newest page': async () => {
      const page = await history({});
      expectCount('newest page', page.kind === 'found' ? page.messages.length : -1, PAGE_COUNT);
    },
    'history: a page anywhere': async (n) => {
      const page = await history({ before: somewhere(n, PAGE_COUNT) + PAGE_COUNT });
      expectCount('page', page.kind === 'found' ? page.messages.length : -1, PAGE_COUNT);
    },
  };
  for (const [name, text] of Object.entries(terms) as [keyof typeof terms, string][])
    questions[`search: ${name}`] = async () =>
      expectCount(`search ${name}`, await search(searchModel, text), expectedHits[name]);
  const medianMs: Record<string, number> = {};
  const p99Ms: Record<string, number> = {};
  for (const [name, ask] of Object.entries(questions)) {
    await ask(0);
    const times = await timesOf(ask);
    medianMs[name] = quantile(times, 0.5);
    p99Ms[name] = quantile(times, 0.99);
  }
  return { messageCount, medianMs, p99Ms, faults: [...new Set(faults)] };
};

/** Grows one store through the sizes and measures at each. */
export const readsOn = (
  store: ReadStoreName,
  sizes: readonly number[],
  say: (line: string) => void,
): Promise<readonly ReadFigures[]> =>
  withReadStore(store, async ({ core, search: searchModel, readByKey, settle }) => {
    const all: ReadFigures[] = [];
    let at = 0;
    for (const size of sizes) {
      const upTo = seqOfMessage(size);
      await load(core, at, upTo);
      const begunMs = performance.now();
      await load(searchModel, at, upTo);
      const loadedPerSecond = ((upTo - at) / (performance.now() - begunMs)) * 1_000;
      at = upTo;
      await settle();
      say(`${store}: ${size} messages are in (search: ${Math.round(loadedPerSecond)}/s)`);
      all.push({ ...(await measureReads(core, searchModel, readByKey, size)), loadedPerSecond });
    }
    return all;
  });

export const readsReport = (store: ReadStoreName, figures: readonly ReadFigures[]): string => {
  const names = Object.keys(figures[0]?.medianMs ?? {});
  const rows = names.map((name) => {
    const cells = figures.map(
      ({ medianMs, p99Ms }) => `${(medianMs[name] ?? NaN).toFixed(2)} / ${(p99Ms[name] ?? NaN).toFixed(2)}`,
    );
    const [first, last] = [figures[0]?.medianMs[name] ?? NaN, figures.at(-1)?.medianMs[name] ?? NaN];
    return `| ${[name, ...cells, `${(last / first).toFixed(2)}×`].join(' | ')} |`;
  });
  const head = [
    'ms p50 / p99',
    ...figures.map(({ messageCount }) => messageCount.toLocaleString('en')),
    'growth',
  ];
  const loaded = figures.map(
    ({ loadedPerSecond }) => `${Math.round(loadedPerSecond).toLocaleString('en')}/s`,
  );
  return [
    `### ${store}`,
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows,
    `| search projected | ${loaded.join(' | ')} | |`,
  ].join('\n');
};

/** The exit code; undefined when the command line asks for another bench. */
export const runReadBench = async (
  args: readonly string[],
  say: (line: string) => void,
): Promise<number | undefined> => {
  const options = {
    only: { type: 'string' },
    store: { type: 'string', default: 'both' },
    messages: { type: 'string', default: '1000000' },
  } as const;
  const { values } = parseArgs({ args: [...args], options, strict: false });
  if (values.only !== 'reads') return undefined;
  const most = Number(values.messages);
  const sizes = SIZES.filter((size) => size <= most);
  const stores = (['postgres', 'mongodb'] as const).filter(
    (name) => values.store === 'both' || values.store === name,
  );
  if (sizes.length === 0 || stores.length === 0) {
    say('--store must be postgres, mongodb or both, and --messages at least 10000');
    return 64;
  }
  const faults: string[] = [];
  for (const store of stores) {
    const figures = await readsOn(store, sizes, say);
    say(readsReport(store, figures));
    faults.push(...figures.flatMap((one) => one.faults));
  }
  for (const fault of faults) say(`FAULT ${fault}`);
  return faults.length > 0 ? 1 : 0;
};
