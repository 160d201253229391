import { expect, it } from 'vitest';
import { commandMark, isMarkOf } from './command-mark.ts';

it('a mark is of the command with its Msg-Id that was stored at its time, to a millisecond', () => {
  const mark = commandMark('alice.1@2.x', 1_700_000_000_123);
  expect(isMarkOf(mark, 'alice.1@2.x', 1_700_000_000_123)).toBe(true);
  expect(isMarkOf(mark, 'alice.1@2.x', 1_700_000_000_124)).toBe(true);
  expect(isMarkOf(mark, 'alice.1@2.x', 1_700_000_000_125)).toBe(false);
  expect(isMarkOf(mark, 'alice.1', 1_700_000_000_123)).toBe(false);
});

it('a mark without a time, of an earlier writer, is told by its Msg-Id', () => {
  expect(isMarkOf('alice.1.x', 'alice.1.x', 5)).toBe(true);
  expect(isMarkOf('alice.1.x', 'alice.2.x', 5)).toBe(false);
});
