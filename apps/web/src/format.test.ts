import { describe, expect, it } from 'vitest';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import { avatarHue, countOf, dayOf, hostOf, stateWord, stopWords } from './format.ts';
import { hashOf, parseRoute } from './route.ts';

const channelId = '00000000-0000-7000-8000-00000000000a' as ChannelId;

describe('the address', () => {
  it('says who and where, and comes back as it went', () => {
    for (const route of [{}, { userId: 'alice' as UserId }, { userId: 'alice' as UserId, channelId }]) {
      expect(parseRoute(hashOf(route))).toEqual(route);
    }
  });

  it('with rubbish in it leads to the beginning', () => {
    expect(parseRoute('#/<script>/x')).toEqual({});
    expect(parseRoute('#/alice/not-a-channel')).toEqual({ userId: 'alice' });
    expect(parseRoute('')).toEqual({});
  });
});

describe('words', () => {
  it('name days near by', () => {
    const noon = new Date(2026, 10, 24, 12).getTime();
    expect(dayOf(noon, noon)).toBe('Today');
    expect(dayOf(noon - 86_400_000, noon)).toBe('Yesterday');
    expect(dayOf(noon - 2 * 86_400_000, noon)).not.toMatch(/^(Today|Yesterday)$/);
  });

  it('count', () => {
    expect([countOf(1, 'message'), countOf(2, 'message')]).toEqual(['1 message', '2 messages']);
  });

  it('say why a session ended, for every close code that ends one', () => {
    const words = [4500, 4501, 4502].map((closeCode) =>
      stopWords({ kind: 'stopped', reason: { kind: 'closed', closeCode, message: '' } }),
    );
    expect(new Set(words).size).toBe(3);
    expect(stateWord({ kind: 'live' })).toBe('Connected');
  });

  it('name a gateway by its host', () => {
    expect(hostOf('ws://127.0.0.1:8081')).toBe('127.0.0.1:8081');
    expect(hostOf('wss://chat.example/ws')).toBe('chat.example');
  });

  it('give a user the same colour everywhere', () => {
    expect(avatarHue('alice')).toBe(avatarHue('alice'));
    expect(new Set(['alice', 'bob', 'carol'].map(avatarHue)).size).toBe(3);
  });
});
