import { expect, it } from 'vitest';
import type { UserId } from '@chat/contracts/ids';
import { silentLogger } from '../log.ts';
import { createViolators } from './violators.ts';

const named = (name: string | number): UserId => `${name}` as UserId;
const MINUTE_MS = 60_000;

it('counts the users refused within 5 minutes, each once', () => {
  const violators = createViolators(silentLogger());
  for (let i = 0; i < 50; i += 1) violators.refused(named('ann'), 'messages_burst', i);
  violators.refused(named('bob'), 'in_flight', MINUTE_MS);
  expect(violators.count(MINUTE_MS)).toBe(2);
  expect(violators.count(5 * MINUTE_MS + 49)).toBe(1);
  expect(violators.count(6 * MINUTE_MS)).toBe(0);
});

it('who goes on is remembered behind those who stopped', () => {
  const violators = createViolators(silentLogger());
  violators.refused(named('ann'), 'messages_burst', 0);
  violators.refused(named('bob'), 'messages_burst', 1);
  violators.refused(named('ann'), 'messages_burst', 4 * MINUTE_MS);
  expect(violators.count(5 * MINUTE_MS + 1)).toBe(1);
  expect(violators.count(9 * MINUTE_MS - 1)).toBe(1);
});

it('remembers a bounded number of users, the latest', () => {
  const violators = createViolators(silentLogger());
  for (let i = 0; i < 10_500; i += 1) violators.refused(named(i), 'messages_burst', i);
  expect(violators.count(10_500)).toBe(10_000);
});

it('logs a user once a minute, with how often', () => {
  const lines: object[] = [];
  const log = { ...silentLogger(), warn: (fields: object) => void lines.push(fields) } as never;
  const violators = createViolators(log);
  for (let i = 0; i < 120; i += 1) violators.refused(named('ann'), 'messages_burst', 1e9 + i * 1_000);
  expect(lines).toEqual([
    { userId: 'ann', limit: 'messages_burst', refusalCount: 1 },
    { userId: 'ann', limit: 'messages_burst', refusalCount: 61 },
  ]);
});
