import { type CommandId, type UserId, parseTeamId, partitionOf } from '@chat/contracts/ids';
import { expect, it } from 'vitest';
import { createTeamIdMaker } from './team-id.ts';

const alice = 'alice' as UserId;
const bob = 'bob' as UserId;
const commandId = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}` as CommandId;

it('the same creator and command name the same team in every api that shares the secret, and only there', () => {
  const one = createTeamIdMaker('a secret of enough length', 4);
  const other = createTeamIdMaker('a secret of enough length', 4);
  const foreign = createTeamIdMaker('another secret of that length', 4);
  expect(one(alice, commandId(1))).toBe(other(alice, commandId(1)));
  expect(foreign(alice, commandId(1))).not.toBe(one(alice, commandId(1)));
  expect(one(bob, commandId(1))).not.toBe(one(alice, commandId(1)));
  expect(one(alice, commandId(2))).not.toBe(one(alice, commandId(1)));
});

it('ids are sound, differ, and spread over the partitions there are', () => {
  const make = createTeamIdMaker('a secret of enough length', 4);
  const ids = Array.from({ length: 4_000 }, (_, n) => make(alice, commandId(n)));
  expect(new Set(ids).size).toBe(ids.length);
  const counts = [0, 0, 0, 0];
  for (const id of ids) {
    expect(parseTeamId(id)).toBe(id);
    counts[partitionOf(id)]! += 1;
  }
  for (const count of counts) expect(count).toBeGreaterThan(800);
});
