import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { allNemeses } from '../nemeses/all.ts';
import { allMutants } from './all.ts';
import { applyPatch, repositoryFile } from './mutant.ts';

describe('the mutants', () => {
  it('are ten, each with a name of its own, a nemesis that exists and something that catches it', () => {
    expect(new Set(allMutants.map(({ name }) => name)).size).toBe(10);
    for (const { nemesis, caughtBy } of allMutants) {
      expect(allNemeses.map(({ name }) => name)).toContain(nemesis);
      expect(caughtBy.length).toBeGreaterThan(0);
    }
  });

  it.each(allMutants.flatMap(({ name, patches }) => patches.map((patch) => ({ name, patch }))))(
    '$name finds its fragment once in $patch.file',
    ({ patch }) => {
      const source = readFileSync(repositoryFile(patch.file), 'utf8');
      expect(applyPatch(source, patch)).not.toBe(source);
    },
  );

  it('refuse to run when their fragment is not there, or there twice', () => {
    const patch = { file: 'a.ts', app: 'writer', find: 'x', replace: 'y' } as const;
    expect(() => applyPatch('a b', patch)).toThrow('stands 0 times in a.ts');
    expect(() => applyPatch('x x', patch)).toThrow('stands 2 times in a.ts');
    expect(applyPatch('a x b', patch)).toBe('a y b');
  });
});
