/** The wall clock of one app steps a minute forward or back, stays there for a while, and steps back. */

import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { eventually } from '@chat/testkit/checking/eventually';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { pick } from '../../random.ts';

const STEP_MS = 60_000;
const LASTS_MS = 3_000;
const BETWEEN_MS = 1_000;
const TAKES_UP_TO_MS = 5_000;

/** What `startSystem` gives every app whose clock is to be steered. */
export const clockArgs: readonly string[] = [
  '--import',
  fileURLToPath(new URL('shifted-date.ts', import.meta.url)),
];

/** Answers what the process says of its clock; throws when it does not take it up. */
const setClock = async (stack: ChatStack, file: string, name: string, offsetMs: number): Promise<string> => {
  await writeFile(`${file}.new`, JSON.stringify({ [name]: offsetMs }));
  await rename(`${file}.new`, file);
  const shift = await eventually(
    `${name} has its clock at ${offsetMs} ms`,
    () => {
      if (!stack.isRunning(name)) throw new Error('it does not run');
      const said = JSON.parse(readFileSync(`${file}.${name}`, 'utf8')) as {
        nowMs: number;
        realNowMs: number;
      };
      const difference = said.nowMs - said.realNowMs;
      return Math.abs(difference - offsetMs) < 1_000 ? { difference } : undefined;
    },
    { timeoutMs: TAKES_UP_TO_MS },
  );
  return `${name} says that its clock is off by ${shift.difference} ms`;
};

const run = async ({ stack, clockFile: file, signal, random, fault, pause }: Injection): Promise<void> => {
  if (file === undefined) throw new Error('the clocks of this system cannot be steered');
  const apps = stack.names.filter((name) => /^(gateway|writer|projector|api)-/.test(name));
  for (let i = 0; !signal.aborted; i += 1) {
    const name = pick(random, apps);
    const offsetMs = i % 2 === 0 ? STEP_MS : -STEP_MS;
    await fault({
      target: name,
      action: `clock ${offsetMs > 0 ? '+' : '−'}60 s`,
      begin: async () => [await setClock(stack, file, name, offsetMs)],
      lastsMs: LASTS_MS,
      heal: async () => [await setClock(stack, file, name, 0)],
    });
    await pause(BETWEEN_MS);
  }
};

export const clockSteps: Nemesis = {
  name: 'clock-steps',
  about:
    'The wall clock of one app after another steps a minute forward or back (the apps only, not the servers).',
  needs: { isClockSteerable: true },
  runbook: 'clock-step',
  run,
};
