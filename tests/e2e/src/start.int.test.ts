/**
 * `npm start` as a newcomer and an operator meet it: every process is a real one, the starter is killed, stopped and
 * started again. Data is in a folder of the test's own (with a blank in its name); the build is the checkout's.
 */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '@chat/testkit/checking/eventually';
import {
  FIRST_START_MAX_MS,
  START_MAX_MS,
  type StartFolder,
  type Starter,
  createStartFolder,
  isAlive,
  names,
  ready,
} from './starter.ts';

const FIRST_PORT = 10_000;
const MONGODB_FIRST_PORT = 9_000;

/** What a second start may take on a machine that does nothing else; more, by its load, on one that does. */
const secondStartMaxMs = (): number => 10_000 * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());

let start: StartFolder;
const starters: Starter[] = [];

const npmStart = (args: readonly string[] = []): Starter => {
  const starter = start.npmStart(args);
  starters.push(starter);
  return starter;
};

beforeAll(async () => {
  start = await createStartFolder(FIRST_PORT);
});

afterAll(() => start.remove());

describe('npm start', () => {
  it(
    'brings up every process with the demo team, and says where everything is',
    async () => {
      const starter = npmStart();
      await ready(starter, FIRST_START_MAX_MS);
      const { pids, gateways } = await start.stackFile();
      expect(Object.keys(pids).toSorted()).toEqual(
        [
          'api-1',
          'gateway-1',
          'gateway-2',
          'nats',
          'postgres',
          'projector-1',
          'starter',
          'writer-1',
        ].toSorted(),
      );
      for (const [name, pid] of Object.entries(pids)) expect(isAlive(pid), name).toBe(true);
      expect(gateways).toHaveLength(2);
      await eventually('alice sees her channels', async () => {
        expect(names(await start.channelsOf('alice'))).toEqual(['founders', 'general', 'random']);
        return true;
      });
      // carol is no member of the private channel
      await eventually('carol sees hers', async () => {
        expect(names(await start.channelsOf('carol'))).toEqual(['general', 'random']);
        return true;
      });
      expect(starter.output()).toMatch(/^ready in [\d.]+ s/m);
    },
    FIRST_START_MAX_MS + 30_000,
  );

  it('is refused in one sentence while it runs already', async () => {
    const second = npmStart();
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain('already runs from this checkout');
  });

  it('starts a child again that was killed, says so, and tells its new pid', async () => {
    const starter = starters[0];
    const before = (await start.stackFile()).pids['gateway-1'] ?? 0;
    process.kill(before, 'SIGKILL');
    const after = await eventually('another gateway-1', async () => {
      const pid = (await start.stackFile()).pids['gateway-1'];
      return pid !== before ? pid : undefined;
    });
    expect(isAlive(after)).toBe(true);
    expect(starter?.output()).toMatch(/gateway-1 has died; it is started again in 0\.5 s/);
    expect(starter?.output()).toContain(`gateway-1 runs again (pid ${after})`);
  });

  it(
    'comes up again after kill -9 of the starter, with all data, in less than 10 s',
    async () => {
      const before = await start.stackFile();
      process.kill(before.pids.starter ?? 0, 'SIGKILL');
      await starters[0]?.ended;
      const next = npmStart();
      expect(await ready(next, START_MAX_MS)).toBeLessThan(secondStartMaxMs());
      const after = await start.stackFile();
      expect(after.teamId).toBe(before.teamId);
      expect(names(await start.channelsOf('alice'))).toEqual(['founders', 'general', 'random']);
      for (const [name, pid] of Object.entries(before.pids)) expect(isAlive(pid), `old ${name}`).toBe(false);
    },
    START_MAX_MS + 10_000,
  );

  it(
    'stops by itself when the entry is killed, and the next start waits for that',
    async () => {
      const before = await start.stackFile();
      const entry = starters.at(-1);
      entry?.process.kill('SIGKILL');
      await eventually('its stop has begun', async () => {
        const lock = await readFile(join(start.folder, 'starter.lock'), 'utf8').catch(() => 'gone');
        return lock === 'gone' || lock.includes('isStopping');
      });
      await ready(npmStart(), START_MAX_MS);
      for (const [name, pid] of Object.entries(before.pids)) expect(isAlive(pid), `old ${name}`).toBe(false);
    },
    START_MAX_MS + 10_000,
  );

  it('stops everything in order on Ctrl-C and leaves no process', async () => {
    const { pids } = await start.stackFile();
    const starter = starters.at(-1);
    if (!starter) throw new Error('nothing runs');
    // Twice, as a terminal and npm do together.
    starter.process.kill('SIGINT');
    starter.process.kill('SIGINT');
    expect(await starter.ended).toBe(0);
    for (const [name, pid] of Object.entries(pids)) expect(isAlive(pid), name).toBe(false);
    const order = [...starter.output().matchAll(/^ {2}stop (.*): /gm)].map(([, name]) => name);
    expect(order).toEqual([
      'gateway-1 and gateway-2',
      'api-1',
      'writer-1',
      'projector-1',
      'nats',
      'postgres',
    ]);
  });

  it('names a taken port and what to do', async () => {
    const server = createServer().listen(start.portsFrom + 1, '127.0.0.1');
    await once(server, 'listening');
    const starter = npmStart();
    expect(await starter.ended).toBe(1);
    expect(starter.output()).toContain(`Port ${start.portsFrom + 1} is taken`);
    server.close();
  });

  it(
    'starts anew with --reset',
    async () => {
      const before = await start.stackFile();
      const starter = npmStart(['--reset']);
      await ready(starter, START_MAX_MS);
      expect((await start.stackFile()).teamId).not.toBe(before.teamId);
      starter.process.kill('SIGTERM');
      expect(await starter.ended).toBe(0);
    },
    START_MAX_MS + 10_000,
  );
});

// In this file, not beside it: two starts at one time would build into the same folders.
describe('npm start -- --read-store mongodb', () => {
  let start: StartFolder;
  let running: Starter;

  beforeAll(async () => {
    start = await createStartFolder(MONGODB_FIRST_PORT, { MONGODB_URL: '' });
  });
  afterAll(() => start.remove());

  const seesChannels = (): Promise<boolean> =>
    eventually(
      'alice sees her channels',
      async () => {
        expect(names(await start.channelsOf('alice'))).toEqual(['founders', 'general', 'random']);
        return true;
      },
      { timeoutMs: START_MAX_MS },
    );

  const stop = async (): Promise<void> => {
    const { pids } = await start.stackFile();
    running.process.kill('SIGINT');
    expect(await running.ended).toBe(0);
    for (const [name, pid] of Object.entries(pids)) expect(isAlive(pid), name).toBe(false);
  };

  it(
    'brings up a mongod, and the read model is in it',
    async () => {
      running = start.npmStart(['--read-store', 'mongodb']);
      await ready(running, FIRST_START_MAX_MS);
      const { pids, mongodb } = await start.stackFile();
      expect(isAlive(pids.mongod ?? 0)).toBe(true);
      expect(mongodb).toContain(`127.0.0.1:${start.portsFrom + 15}`);
      expect(running.output()).toContain(`MongoDB      ${mongodb}`);
      await seesChannels();
    },
    FIRST_START_MAX_MS + START_MAX_MS,
  );

  it(
    'starts a mongod again that was killed; reads come back by themselves',
    async () => {
      const before = (await start.stackFile()).pids.mongod ?? 0;
      process.kill(before, 'SIGKILL');
      await eventually(
        'another mongod',
        async () => ((await start.stackFile()).pids.mongod === before ? undefined : true),
        { timeoutMs: START_MAX_MS },
      );
      expect(running.output()).toMatch(/mongod has died; it is started again in 0\.5 s/);
      await seesChannels();
    },
    2 * START_MAX_MS + 5_000,
  );

  it('stops it after the projector that writes to it', async () => {
    await stop();
    const order = [...running.output().matchAll(/^ {2}stop (.*): /gm)].map(([, name]) => name);
    expect(order.slice(-4)).toEqual(['projector-1', 'mongod', 'nats', 'postgres']);
  }, 60_000);

  it(
    'and then without it: the store that is new is filled from the log, under the same team',
    async () => {
      const { teamId } = await start.stackFile();
      running = start.npmStart();
      await ready(running, START_MAX_MS);
      const after = await start.stackFile();
      expect(after.teamId).toBe(teamId);
      expect(after.pids).not.toHaveProperty('mongod');
      await seesChannels();
      await stop();
    },
    3 * START_MAX_MS,
  );
});
