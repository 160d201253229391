import { describe, expect, it } from 'vitest';
import { parseOptions } from './options.ts';

const known = { nemeses: ['kill-writer', 'roll'], mutants: ['no-dedupe'], freshSeed: 4711 };
const parse = (...argv: string[]) => parseOptions(argv, known);
const sentence = (...argv: string[]): string => {
  const parsed = parse(...argv);
  return parsed.ok ? 'accepted' : parsed.sentence;
};

describe('the command line', () => {
  it('takes a nemesis with its length, seed and rate', () => {
    expect(parse('--nemesis', 'kill-writer', '--seconds', '12', '--seed=7', '--rate', '90')).toMatchObject({
      ok: true,
      options: { command: 'run', nemeses: ['kill-writer'], seconds: 12, seed: 7, rate: 90 },
    });
  });

  it('takes several nemeses, all, and the short form, each with its defaults', () => {
    expect(parse('--nemesis', 'roll,kill-writer')).toMatchObject({
      options: { nemeses: ['roll', 'kill-writer'], seconds: 30, seed: 4711 },
    });
    expect(parse('--all', '--minutes', '60')).toMatchObject({
      options: { nemeses: known.nemeses, isAll: true, minutes: 60 },
    });
    expect(parse('--short')).toMatchObject({ options: { nemeses: known.nemeses, seconds: 20 } });
  });

  it('takes the store of the read model', () => {
    expect(parse('--all', '--read-store', 'mongodb')).toMatchObject({ options: { readStore: 'mongodb' } });
    expect(parse('--all')).toMatchObject({ options: { readStore: undefined } });
  });

  it('answers a bad one in one sentence that says what would be right', () => {
    expect(sentence()).toContain('--nemesis NAME');
    expect(sentence('--nemesis', 'nothing')).toBe('There is no nemesis nothing; --list names them.');
    expect(sentence('--nemesis')).toBe('--nemesis needs a value.');
    expect(sentence('--nemesis', '--all')).toBe('--nemesis needs a value.');
    expect(sentence('--frobnicate')).toContain('--frobnicate');
    expect(sentence('--all', '--seconds', '0')).toBe(
      '--seconds must be a whole number from 1 to 3600, not 0.',
    );
    expect(sentence('--all', '--rate', 'fast')).toContain('--rate must be a whole number');
    expect(sentence('--all', '--read-store', 'redis')).toBe(
      '--read-store must be one of postgres, mongodb, mongodb-set, not redis.',
    );
    expect(sentence('--all', '--mutant', 'x')).toBe('There is no mutant x; there are no-dedupe.');
    for (const text of [sentence(), sentence('--x'), sentence('--all', '--seed', '1.5')]) {
      expect(text).not.toContain('\n');
    }
  });

  it('tells a check, a list and a call for help from a run', () => {
    expect(parse('--check', 'some/folder')).toMatchObject({
      options: { command: 'check', check: 'some/folder' },
    });
    expect(parse('--list')).toMatchObject({ options: { command: 'list' } });
    expect(parse('--help')).toMatchObject({ options: { command: 'help' } });
  });
});
