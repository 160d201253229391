/** Two of the known bugs a day, all ten within five: the suite that finds nothing must be able to find something. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { allMutants } from '../mutants/all.ts';
import { hunt } from '../mutants/hunt.ts';

const DAY_MS = 24 * 3_600_000;
const PER_DAY_COUNT = 2;
const RATE = 160;
const TIMEOUT_MS = 240_000;

const day = Number(process.env.CHAOS_SEED ?? Math.floor(Date.now() / DAY_MS));
const today = Array.from(
  { length: PER_DAY_COUNT },
  (_, i) => allMutants[(day * PER_DAY_COUNT + i) % allMutants.length],
).flatMap((mutant) => mutant ?? []);

describe('a system with a known bug is found out:', () => {
  it.each(today)(
    '$name',
    async (mutant) => {
      const folder = await mkdtemp(join(tmpdir(), 'chat-chaos-mutant-'));
      try {
        const { isCaught, evidence } = await hunt({ mutant, seed: day, rate: RATE, folder });
        expect(isCaught, `survived; found instead: ${evidence}`).toBe(true);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    TIMEOUT_MS,
  );
});
