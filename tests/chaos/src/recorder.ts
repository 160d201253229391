/**
 * Writes the history while it happens. Lines are gathered and written in blocks; a disk that cannot follow is a
 * fault of the run (the history would not be whole), so at BACKLOG_MAX_BYTES it throws.
 */

import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { HistoryLine, LineFields } from './history-line.ts';

export type Recorder = {
  readonly write: (line: LineFields) => void;
  /** Since the start of the run. */
  readonly nowMs: () => number;
  readonly close: () => Promise<void>;
};

const BLOCK_CHARS = 64 * 1024;
const BACKLOG_MAX_BYTES = 256 * 1024 * 1024;

export const createRecorder = (options: {
  readonly file: string;
  readonly run: string;
  readonly seed: number;
  readonly onLine?: (line: HistoryLine) => void;
}): Recorder => {
  const { run, seed, onLine } = options;
  const stream = createWriteStream(options.file);
  const startMs = performance.now();
  let block = '';
  const nowMs = (): number => performance.now() - startMs;
  const flush = (): void => {
    if (block.length === 0) return;
    stream.write(block);
    block = '';
    if (stream.writableLength > BACKLOG_MAX_BYTES) throw new Error('the disk cannot follow the history');
  };
  return {
    nowMs,
    write: (fields) => {
      const line: HistoryLine = { run, seed, monoNs: Math.round(nowMs() * 1e6), ...fields };
      block += `${JSON.stringify(line)}\n`;
      if (block.length > BLOCK_CHARS) flush();
      onLine?.(line);
    },
    close: async () => {
      flush();
      stream.end();
      await finished(stream);
    },
  };
};
