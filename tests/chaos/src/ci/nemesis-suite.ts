/** The tests of one group: its system once, then each nemesis for a few seconds, checked before the next begins. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeViolations } from '@chat/testkit/checking/checker';
import { whyNoSmallDisk } from '@chat/testkit/servers/small-disk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findNemesis } from '../nemeses/all.ts';
import type { Nemesis } from '../nemesis.ts';
import { writeReport } from '../report/html.ts';
import { runRound } from '../round.ts';
import { type System, needsKey, startSystem } from '../system.ts';
import { type GroupName, groups } from './groups.ts';

/** Faults; a round with its teams, recovery and checks takes about ten more. */
const SECONDS = 6;
/** 2 s, then the rest at a stretch: longer than a writer's lease of 4 s. */
const PAUSES_SECONDS = 10;
const RATE = 150;
const START_TIMEOUT_MS = 120_000;
/** Far over what a round takes: every wait in it has its own, shorter bound, which says what was waited for. */
const ROUND_TIMEOUT_MS = 600_000;
const DAY_MS = 24 * 3_600_000;

/** Another one each day, so that CI does not try the same thing for ever; named in every failure. */
const seedOfToday = (): number => Number(process.env.CHAOS_SEED ?? Math.floor(Date.now() / DAY_MS));

export const nemesisSuite = (group: GroupName): void => {
  const seconds = group === 'pauses' ? PAUSES_SECONDS : SECONDS;
  const nemeses = groups[group].map((name): Nemesis => {
    const nemesis = findNemesis(name);
    if (!nemesis) throw new Error(`no nemesis ${name}`);
    return nemesis;
  });
  const needs = nemeses[0]?.needs ?? {};
  const odd = nemeses.find((nemesis) => needsKey(nemesis.needs) !== needsKey(needs));
  if (odd) throw new Error(`${odd.name} needs another system than the rest of ${group}`);

  describe(`with two teams of clients under load on ${needsKey(needs)}, nothing is lost, doubled, reordered or leaked by`, () => {
    let system: System | undefined;
    let folder = '';
    let isKept = false;
    /** A machine that cannot give what the group needs proves nothing, and says so; it is no failure of the system. */
    let whyNot: string | undefined;
    beforeAll(async () => {
      whyNot = needs.smallDisk ? await whyNoSmallDisk() : undefined;
      if (whyNot !== undefined) return;
      folder = await mkdtemp(join(tmpdir(), `chat-chaos-${group}-`));
      system = await startSystem(needs);
    }, START_TIMEOUT_MS);
    afterAll(async () => {
      await system?.stop();
      if (!isKept && folder) await rm(folder, { recursive: true, force: true });
    }, START_TIMEOUT_MS);

    for (const nemesis of nemeses) {
      it(
        nemesis.name,
        async ({ skip }) => {
          skip(whyNot !== undefined, `unknown: ${whyNot}`);
          if (!system) throw new Error('no system');
          const own = join(folder, nemesis.name);
          const seed = seedOfToday();
          const judged = await runRound({
            system,
            nemesis,
            seconds,
            seed,
            rate: RATE,
            folder: own,
          });
          const { verdict } = judged;
          if (verdict.kind === 'pass') return;
          isKept = true;
          const report = await writeReport(judged, own);
          const again = `npm run chaos -- --nemesis ${nemesis.name} --seconds ${seconds} --rate ${RATE} --seed ${seed}`;
          const text = [
            ...verdict.reasons,
            describeViolations(verdict.violations),
            `read ${report}`,
            `again: ${again}`,
          ];
          expect(verdict.kind, text.join('\n')).toBe('pass');
        },
        ROUND_TIMEOUT_MS,
      );
    }
  });
};
