import { silentLogger } from '@chat/platform/log';
import { LEASE_TTL_MS } from '@chat/platform/lease/lease-keeper';
import { createPool } from '@chat/platform/postgres/pool';
import { testDatabase } from '@chat/testkit/servers/servers';
import { expect, it, onTestFinished } from 'vitest';
import { inTransaction } from './apply.ts';

it('a batch that falls silent is ended by the server before its partition can have a new owner, and holds up nobody', async () => {
  const url = await testDatabase();
  const pool = createPool({ url, max: 1, name: 'test', statementTimeoutMs: 10_000, log: silentLogger() });
  onTestFinished(() => pool.end());
  const ask = `SELECT setting::integer AS ms FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'`;
  const ms = await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ ms: number }>(ask);
    return { commit: true, value: rows[0]?.ms ?? 0 };
  });
  expect(ms).toBeGreaterThan(0);
  expect(ms).toBeLessThan(LEASE_TTL_MS);
});
