import { silentLogger } from '@chat/platform/log';
import { prepareLeases } from '@chat/platform/lease/lease-schema';
import { createMetrics } from '@chat/platform/metrics';
import { testDatabase } from '@chat/testkit/servers/servers';
import pg from 'pg';
import { expect, it, onTestFinished, vi } from 'vitest';
import { LEASE_SCHEMA, type Ownership, type OwnershipDeps, createOwnership } from './ownership.ts';

const PARTITION_COUNT = 4;
/** So long that a slow machine lets none expire: who waits for an expiry says so. */
const TTL_MS = 600_000;
const log = silentLogger();
const within = { timeout: 15_000, interval: 10 };

const createWorld = async () => {
  const url = await testDatabase();
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  onTestFinished(() => pool.end());
  await prepareLeases({ url, pool, schema: LEASE_SCHEMA, partitionCount: PARTITION_COUNT, log });
  /** What happened to whom, in order: `a +0`, `b -3`, … */
  const steps: string[] = [];
  const own = async (instance: string, over: Partial<OwnershipDeps> = {}): Promise<Ownership> => {
    const ownership = createOwnership({
      query: async (statement) => (await pool.query(statement as pg.QueryConfig)).rows as never,
      instance,
      partitionCount: PARTITION_COUNT,
      onGained: async (p) => void steps.push(`${instance} +${p}`),
      onLost: async (p) => void steps.push(`${instance} -${p}`),
      metrics: createMetrics(),
      log,
      ttlMs: TTL_MS,
      tickMs: 20,
      ...over,
    });
    onTestFinished(() => ownership.stop());
    await ownership.start();
    return ownership;
  };
  const owners = async (): Promise<readonly (string | null)[]> => {
    const { rows } = await pool.query<{ owner: string | null }>(
      `SELECT owner FROM ${LEASE_SCHEMA}.lease ORDER BY p`,
    );
    return rows.map(({ owner }) => owner);
  };
  return { url, pool, steps, own, owners };
};

const ownedBy = (ownership: Ownership, partitions: readonly number[]): Promise<void> =>
  vi.waitFor(() => expect(ownership.check()).toEqual({ ok: true, owned: partitions }), within);

it('one owns everything; a second gets its half, each partition only after it is closed', async () => {
  const { steps, own, owners } = await createWorld();
  const closing = Promise.withResolvers<void>();
  const a = await own('a', {
    onLost: async (p) => {
      await closing.promise;
      steps.push(`a -${p}`);
    },
  });
  await ownedBy(a, [0, 1, 2, 3]);
  const b = await own('b');
  await ownedBy(a, [0, 1]);
  // Closing still: nobody else has them.
  expect(await owners()).toEqual(['a', 'a', 'a', 'a']);
  closing.resolve();
  await ownedBy(b, [2, 3]);
  await vi.waitFor(() => expect(steps).toHaveLength(8), within);
  for (const p of [2, 3]) expect(steps.indexOf(`a -${p}`)).toBeLessThan(steps.indexOf(`b +${p}`));
});

it('who stops closes what it has, then frees it: another one owns it without waiting for the lease to expire', async () => {
  const { steps, own, owners, pool } = await createWorld();
  const a = await own('a');
  await ownedBy(a, [0, 1, 2, 3]);
  await a.stop();
  expect(steps.slice(4).sort()).toEqual(['a -0', 'a -1', 'a -2', 'a -3']);
  expect(await owners()).toEqual([null, null, null, null]);
  const { rows } = await pool.query(`SELECT id FROM ${LEASE_SCHEMA}.instance`);
  expect(rows).toEqual([]);
  await ownedBy(await own('b'), [0, 1, 2, 3]);
});

it('who cannot renew keeps what it has, says so, and lets go of what it then finds another one to own', async () => {
  const { steps, own, pool } = await createWorld();
  const a = await own('a', { ttlMs: 300 });
  await ownedBy(a, [0, 1, 2, 3]);
  await pool.query(`ALTER TABLE ${LEASE_SCHEMA}.instance RENAME TO hidden`);
  await vi.waitFor(
    () =>
      expect(a.check()).toMatchObject({ ok: false, reason: expect.stringContaining('no lease heartbeat') }),
    within,
  );
  expect(a.check().owned).toEqual([0, 1, 2, 3]);
  expect(steps.filter((step) => step.startsWith('a -'))).toEqual([]);
  await pool.query(
    `UPDATE ${LEASE_SCHEMA}.lease SET owner = 'b', owner_epoch = owner_epoch + 1,
       lease_until = 'infinity' WHERE p = 2`,
  );
  await pool.query(`ALTER TABLE ${LEASE_SCHEMA}.hidden RENAME TO instance`);
  await vi.waitFor(() => expect(steps).toContain('a -2'), within);
  expect(a.owns(2)).toBe(false);
});

it('a process started again under its name goes on with what it had at once', async () => {
  const { own, pool, owners } = await createWorld();
  await pool.query(`INSERT INTO ${LEASE_SCHEMA}.instance VALUES ('a', 'infinity'), ('b', 'infinity')`);
  await pool.query(
    `UPDATE ${LEASE_SCHEMA}.lease SET owner = CASE WHEN p < 2 THEN 'a' ELSE 'b' END, owner_epoch = 7,
       lease_until = 'infinity'`,
  );
  await ownedBy(await own('a'), [0, 1]);
  expect(await owners()).toEqual(['a', 'a', 'b', 'b']);
});

it('lost and gained again while it is being closed: the steps of a partition never overlap', async () => {
  const { own, pool } = await createWorld();
  const closing = Promise.withResolvers<void>();
  const steps: string[] = [];
  const a = await own('a', {
    onGained: async (p) => void steps.push(`+${p}`),
    onLost: async (p) => {
      steps.push(`closing ${p}`);
      await closing.promise;
      steps.push(`-${p}`);
    },
  });
  await ownedBy(a, [0, 1, 2, 3]);
  await pool.query(`UPDATE ${LEASE_SCHEMA}.lease SET owner_epoch = owner_epoch + 1 WHERE p = 1`);
  await vi.waitFor(() => expect(steps).toContain('closing 1'), within);
  await ownedBy(a, [0, 1, 2, 3]);
  expect(steps.filter((step) => step.includes('1'))).toEqual(['+1', 'closing 1']);
  closing.resolve();
  await vi.waitFor(
    () => expect(steps.filter((step) => step.includes('1'))).toEqual(['+1', 'closing 1', '-1', '+1']),
    within,
  );
});

it('who can project nothing does not renew: another one takes over, and gives the share back when it can again', async () => {
  const { own } = await createWorld();
  let why: string | undefined;
  const ttlMs = 500;
  const a = await own('a', { unable: () => why, ttlMs });
  await vi.waitFor(() => expect(a.check().owned).toEqual([0, 1, 2, 3]), within);
  why = 'NATS: disconnected';
  await vi.waitFor(() => expect(a.check()).toMatchObject({ ok: false }), within);
  expect(a.check()).toMatchObject({ reason: expect.stringContaining('NATS: disconnected') });
  // Nobody else is there: it may be that it can after all.
  expect(a.check().owned).toEqual([0, 1, 2, 3]);
  const b = await own('b');
  await vi.waitFor(() => expect(b.check().owned).toEqual([0, 1, 2, 3]), within);
  why = undefined;
  await vi.waitFor(() => {
    expect(a.check().owned).toHaveLength(2);
    expect(b.check().owned).toHaveLength(2);
  }, within);
});
