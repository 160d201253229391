import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { makeTeamId } from '@chat/contracts/ids';
import { commandHash } from './command-hash.ts';

const one = makeTeamId(0, new Uint8Array(9));
const two = makeTeamId(0, new Uint8Array(9).fill(1));

it('gives 16 base64url characters of SHA-256 over team, name and data, each on its line', () => {
  const sha256 = createHash('sha256').update(`${one}\nmessage.send\n{"text":"hi"}`).digest();
  expect(commandHash(one, 'message.send', '{"text":"hi"}')).toBe(
    sha256.subarray(0, 12).toString('base64url'),
  );
});

it('differs by team, by name, by data, and by where the one ends', () => {
  const hashes = new Set([
    commandHash(one, 'a', 'bc'),
    commandHash(two, 'a', 'bc'),
    commandHash(one, 'ab', 'c'),
    commandHash(one, 'a', 'bd'),
    commandHash(one, 'b', 'bc'),
    commandHash(one, 'a', 'b\u0000c'),
    commandHash(one, 'a', 'é'),
    commandHash(one, 'a', 'e\u0301'),
  ]);
  expect(hashes.size).toBe(8);
  for (const hash of hashes) expect(hash).toMatch(/^[A-Za-z0-9_-]{16}$/);
});
