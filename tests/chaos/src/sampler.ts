/** Memory of every process and size of every stream over time, as evidence that nothing grows without bound (I8). */

import { readFileSync } from 'node:fs';
import { withJetStream } from '@chat/testkit/checking/collect';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import { natsAccess } from './dump.ts';
import type { Recorder } from './recorder.ts';

export type Sample = {
  readonly atMs: number;
  /** By process; of PostgreSQL only the postmaster's. A process that is down has none. */
  readonly rssBytes: Readonly<Record<string, number>>;
  /** By stream; empty while NATS does not answer. */
  readonly streamBytes: Readonly<Record<string, number>>;
};

const SAMPLE_EVERY_MS = 2_000;
const SAMPLES_MAX_COUNT = 10_000;

const rssOf = (pid: number): number | undefined => {
  try {
    const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
};

const streamSizes = (stack: ChatStack): Promise<Record<string, number>> =>
  withJetStream(natsAccess(stack), async ({ jsm }) => {
    const sizes: Record<string, number> = {};
    for await (const { config, state } of jsm.streams.list()) sizes[config.name] = state.bytes;
    return sizes;
  }).catch(() => ({}));

export const startSampler = (stack: ChatStack, recorder: Recorder) => {
  const samples: Sample[] = [];
  let isAsking = false;
  const sample = async (): Promise<void> => {
    if (isAsking || samples.length >= SAMPLES_MAX_COUNT) return; // a paused NATS answers late: no pile of questions
    isAsking = true;
    const rssBytes: Record<string, number> = {};
    for (const name of stack.names) {
      const bytes = rssOf(stack.pid(name));
      if (bytes !== undefined) rssBytes[name] = bytes;
    }
    rssBytes.runner = process.memoryUsage.rss();
    const atMs = recorder.nowMs();
    samples.push({ atMs, rssBytes, streamBytes: await streamSizes(stack) });
    isAsking = false;
  };
  const timer = setInterval(() => void sample(), SAMPLE_EVERY_MS);
  return {
    stop: async (): Promise<readonly Sample[]> => {
      clearInterval(timer);
      await sample();
      return samples;
    },
  };
};
