import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { query } from '../checking/collect.ts';
import { type PostgresPair, type Replication, startPostgresPair } from './postgres-pair.ts';

let folder: string;
let pair: PostgresPair | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat-test-postgres-pair-'));
});
afterEach(async () => {
  await pair?.stop();
  pair = undefined;
  await rm(folder, { recursive: true, force: true });
});

const start = async (replication: Replication): Promise<PostgresPair> => {
  const settings = { shared_buffers: '32MB' };
  pair = await startPostgresPair({ dataDir: join(folder, 'data'), replication, settings });
  return pair;
};
const insert = (url: string, n: number): Promise<unknown> => query(url, 'INSERT INTO t VALUES ($1)', [n]);
const rows = async (url: string): Promise<readonly number[]> =>
  (await query<{ n: number }>(url, 'SELECT n FROM t ORDER BY n')).map(({ n }) => n);

it(
  'a synchronous standby has every commit; promotions follow one another at one address',
  { timeout: 90_000 },
  async () => {
    const { primary, promote, pair: repair } = await start('sync');
    const { url, pid } = primary;
    await query(url, 'CREATE TABLE t (n int)');
    await insert(url, 1);
    const first = await promote();
    expect(first).toMatchObject({ oldPid: pid, lostWalBytes: 0 });
    expect(first.newTimeline > first.oldTimeline).toBe(true);
    expect(primary.pid).not.toBe(pid);
    await insert(url, 2);
    await repair();
    await insert(url, 3);
    await promote();
    expect(await rows(url)).toEqual([1, 2, 3]);
  },
);

it('an asynchronous standby that was cut off lacks the last commits', { timeout: 90_000 }, async () => {
  const { primary, promote, replicationLink } = await start('async');
  const { url } = primary;
  await query(url, 'CREATE TABLE t (n int)');
  await query(url, `SELECT pg_switch_wal()`);
  await expect
    .poll(
      () => query(url, `SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_flush_lsn()`),
      { timeout: 10_000 },
    )
    .toHaveLength(1);
  replicationLink.set({ kind: 'blackhole', direction: 'both' });
  await insert(url, 1);
  const { lostWalBytes } = await promote();
  expect(lostWalBytes).toBeGreaterThan(0);
  expect(await rows(url)).toEqual([]);
});
