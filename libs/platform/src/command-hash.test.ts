import { expect, it } from 'vitest';
import { commandHash } from './command-hash.ts';

it('gives 16 base64url characters of SHA-256 over name, line feed and data', () => {
  // printf 'message.send\n{"text":"hi"}' | sha256sum | cut -c1-24 | xxd -r -p | basenc --base64url
  expect(commandHash('message.send', '{"text":"hi"}')).toBe('MovHKbOU4X8xrwpj');
});

it('differs by name, by data, and by where the one ends', () => {
  const hashes = new Set([
    commandHash('a', 'bc'),
    commandHash('ab', 'c'),
    commandHash('a', 'bd'),
    commandHash('b', 'bc'),
    commandHash('a', 'b\u0000c'),
    commandHash('a', 'é'),
    commandHash('a', 'e\u0301'),
  ]);
  expect(hashes.size).toBe(7);
  for (const hash of hashes) expect(hash).toMatch(/^[A-Za-z0-9_-]{16}$/);
});
