import { expect, it, onTestFinished, vi } from 'vitest';
import { silentLogger } from '@chat/platform/log';
import { testDatabase } from '@chat/testkit/servers/servers';
import { eventually } from '../testing/writer-rig.ts';
import { createPgSession } from './session.ts';

vi.setConfig({ testTimeout: 60_000 });

it('a connection on which an answer did not come in time is given up, not asked again', async () => {
  const lost: string[] = [];
  const session = createPgSession({
    url: await testDatabase(),
    name: 'test',
    log: silentLogger(),
    queryTimeoutMs: 1_000,
    onLost: (reason) => lost.push(reason),
  });
  await session.start();
  onTestFinished(() => session.stop());
  await eventually('connected', async () => session.generation() === 1);
  await expect(session.query({ text: 'SELECT pg_sleep(9)' })).rejects.toThrow('Query read timeout');
  expect(lost).toEqual(['Query read timeout']);
  await eventually('connected anew', async () => session.generation() === 2);
  expect(await session.query({ text: 'SELECT 1 AS one' })).toEqual([{ one: 1 }]);
  // The server does not know yet that nobody waits for the old answer; the database is dropped after this.
  await session.query({
    text: `SELECT pg_terminate_backend(pid, 20000) AS ended FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep(9)%'`,
  });
});
