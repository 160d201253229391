import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageTokens, seedOf } from './tokens.ts';

const seed = seedOf('0abcdefghijklmnop' as TeamId, 3);
const channelId = '0190d5c2-8f7a-7c3e-9b1a-2d4e6f8a0b1c' as ChannelId;
const actor = 'ann' as UserId;
const tokensOf = (folded: string): number[] => messageTokens(seed, { folded, channelId, actor });

describe('tokens of a message', () => {
  it('are what is in the stores: others would need a rebuild of search', () => {
    expect(tokensOf('hi 日本 😀!')).toEqual([
      -203601947, -2094629485, -2020432124, 1678383605, 799311429, -179985460, -1113357594, -82165723,
    ]);
  });

  it('come each once, and the same for a text of any length', () => {
    const unit = fc.oneof(fc.constantFrom(...'ab 日か'), fc.string({ unit: 'grapheme', maxLength: 1 }));
    const text = fc.array(unit, { maxLength: 1_000 }).map((units) => units.join(''));
    const property = fc.property(text, (folded) => {
      const tokens = tokensOf(folded);
      expect(new Set(tokens).size).toBe(tokens.length);
      // Blanks make no tokens, only length.
      expect(tokensOf(folded + ' '.repeat(5_000))).toEqual(tokens);
    });
    fc.assert(property, { numRuns: 200 });
  });

  it('are not hidden by those of the message before', () => {
    const before = tokensOf('abc');
    tokensOf('abcd');
    expect(tokensOf('abc')).toEqual(before);
  });
});
