import { access } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { allNemeses } from '../nemeses/all.ts';
import { needsKey } from '../system.ts';
import { groups } from './groups.ts';

describe('what CI runs', () => {
  it('is every nemesis once', () => {
    const names = allNemeses.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.values(groups).flat().sort()).toEqual([...names].sort());
  });

  it('has one system and one test file a group', async () => {
    const here = fileURLToPath(new URL('.', import.meta.url));
    for (const [group, names] of Object.entries(groups)) {
      const keys = allNemeses
        .filter(({ name }) => (names as readonly string[]).includes(name))
        .map(({ needs }) => needsKey(needs));
      expect(new Set(keys).size, group).toBe(1);
      await access(resolve(here, `${group}.int.test.ts`));
    }
  });

  it('names a runbook that exists for every nemesis', async () => {
    const runbooks = fileURLToPath(new URL('../../../../deploy/runbooks/', import.meta.url));
    for (const { runbook } of allNemeses) await access(resolve(runbooks, `${runbook}.md`));
  });
});
