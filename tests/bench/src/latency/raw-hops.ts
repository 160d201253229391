/**
 * The hops a message cannot do without, each alone and with nothing of ours around it: an append to a JetStream
 * stream in a file, and a commit of PostgreSQL. Open loop at the same rate as the whole, counted from the schedule.
 *
 * As in the writer, what is due while a lane commits is joined into its next commit (one INSERT, one transaction), and
 * there are as many lanes as partitions: without that a rate above that of single commits could not be held at all.
 */

import { withJetStream } from '@chat/testkit/checking/collect';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import pg from 'pg';
import { type Histogram, createHistogram } from '../histogram.ts';
import type { Quantiles } from './open-loop-plan.ts';

export type HopOptions = {
  readonly perSecond: number;
  readonly seconds: number;
  /** About the size of an event. */
  readonly payloadBytes: number;
};

const STREAM = 'BENCH_RAW';
const SUBJECT = 'bench.raw';
/** The first part is not counted: connections, caches and compilers warm up. */
const WARMUP_FRACTION = 0.2;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls `due` for each n at its time (or as soon after as the loop gets to it); ends with the schedule. */
const follow = async (options: HopOptions, due: (dueMs: number, isCounted: boolean) => void) => {
  const totalCount = Math.round(options.perSecond * options.seconds);
  const startMs = performance.now();
  for (let next = 0; next < totalCount;) {
    const passed = ((performance.now() - startMs) * options.perSecond) / 1000;
    for (; next < totalCount && next <= passed; next += 1)
      due(startMs + (next * 1000) / options.perSecond, next >= totalCount * WARMUP_FRACTION);
    await wait(1);
  }
};

const quantiles = (of: Histogram): Quantiles => ({
  p50Ms: of.quantileMs(0.5),
  p99Ms: of.quantileMs(0.99),
  p999Ms: of.quantileMs(0.999),
});

export const measureAppend = (stack: ChatStack, options: HopOptions): Promise<Quantiles> =>
  withJetStream({ url: stack.nats.url, ...stack.nats.credentials.ops }, async ({ js, jsm }) => {
    await jsm.streams.add({ name: STREAM, subjects: [SUBJECT] });
    try {
      const histogram = createHistogram();
      const payload = 'x'.repeat(options.payloadBytes);
      const acks: Promise<void>[] = [];
      await follow(options, (dueMs, isCounted) => {
        const acked = js.publish(SUBJECT, payload).then(() => {
          if (isCounted) histogram.record((performance.now() - dueMs) * 1000);
        });
        acks.push(acked);
      });
      await Promise.all(acks);
      return quantiles(histogram);
    } finally {
      await jsm.streams.delete(STREAM);
    }
  });

type Lane = { readonly client: pg.Client; readonly due: { readonly dueMs: number; isCounted: boolean }[] };

export const measureCommit = async (stack: ChatStack, options: HopOptions): Promise<Quantiles> => {
  const histogram = createHistogram();
  const payload = 'x'.repeat(options.payloadBytes);
  const databaseUrl = await stack.postgres.createDatabase('bench_raw');
  const lanes: readonly Lane[] = Array.from({ length: stack.partitions }, () => ({
    client: new pg.Client({ connectionString: databaseUrl }),
    due: [],
  }));
  let isOver = false;
  const commitDue = async ({ client, due }: Lane): Promise<void> => {
    while (!isOver || due.length > 0) {
      const batch = due.splice(0);
      if (batch.length === 0) {
        await wait(1);
        continue;
      }
      const text = 'INSERT INTO raw_log (payload) SELECT unnest($1::text[])';
      await client.query({ name: 'append', text, values: [batch.map(() => payload)] });
      const nowMs = performance.now();
      for (const { dueMs, isCounted } of batch) if (isCounted) histogram.record((nowMs - dueMs) * 1000);
    }
  };
  try {
    for (const { client } of lanes) await client.connect();
    await lanes[0]!.client.query(
      'CREATE TABLE raw_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload text NOT NULL)',
    );
    const committing = Promise.all(lanes.map(commitDue));
    let next = 0;
    await follow(options, (dueMs, isCounted) => {
      lanes[(next += 1) % lanes.length]!.due.push({ dueMs, isCounted });
    });
    isOver = true;
    await committing;
    return quantiles(histogram);
  } finally {
    for (const { client } of lanes) await client.end();
  }
};
