/** The terminal client, run as a user runs it, in pipes: said, heard, survived a gateway, kept over an end. */

import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import type { SeededTeam } from '@chat/testkit/processes/seed-team';
import { afterAll, afterEach, beforeAll, expect, it, onTestFailed } from 'vitest';
import { eventually } from '@chat/testkit/checking/eventually';

const main = fileURLToPath(new URL('../../../tools/chat/main.ts', import.meta.url));

type Terminal = {
  readonly lines: string[];
  readonly type: (line: string) => void;
  readonly endInput: () => void;
  readonly kill: () => void;
  readonly exited: Promise<number | null>;
};

let stack: ChatStack;
let team: SeededTeam;
let stackFile: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  stack = await startChatStack({ gateways: 2, fsync: false });
  team = await stack.seedTeam({
    name: 'Terminal team',
    owner: 'alice',
    members: ['bob'],
    channels: [{ name: 'general' }, { name: 'later' }, { name: 'club', members: [] }],
  });
  stackFile = join(stack.folder, 'stack.json');
  const { gatewayUrls, apiUrl } = stack;
  await writeFile(stackFile, JSON.stringify({ gateways: gatewayUrls, api: apiUrl, teamId: team.teamId }));
}, 120_000);

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
});

const open = (user: string, ...more: readonly string[]): Terminal => {
  const args = ['--conditions=@chat/source', main, '--as', user, '--stack', stackFile, ...more];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  const lines: string[] = [];
  let rest = '';
  const read = (bytes: Buffer): void => {
    const parts = (rest + bytes.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  onTestFailed(() => console.error(`--- ${user}\n${lines.join('\n')}`));
  return {
    lines,
    type: (line) => void child.stdin.write(`${line}\n`),
    endInput: () => child.stdin.end(),
    kill: () => void child.kill('SIGKILL'),
    exited: new Promise((resolve) => child.once('exit', resolve)),
  };
};

const hears = (terminal: Terminal, pattern: RegExp): Promise<string> =>
  eventually(`a line ${pattern}`, () => terminal.lines.find((line) => pattern.test(line)), {
    timeoutMs: 30_000,
  });

const said = (terminal: Terminal, by: string): readonly string[] =>
  terminal.lines.flatMap((line) => {
    const match = new RegExp(` ${by}: (.*?)( ✓)?$`).exec(line);
    return match?.[1] === undefined ? [] : [match[1]];
  });

it('two terminals talk, the gateways die in turn, and each line is heard once and in order', async () => {
  onTestFailed(() => console.error(stack.tails()));
  const alice = open('alice', '--stay');
  const bob = open('bob', '--stay');
  await Promise.all([hears(alice, /^-- live/), hears(bob, /^-- live/)]);
  const expected: string[] = [];
  const say = (text: string): void => {
    expected.push(text);
    alice.type(text);
  };
  say('before');
  await hears(bob, /alice: before$/);
  for (const gateway of ['gateway-1', 'gateway-2']) {
    await stack.kill(gateway);
    for (let i = 1; i <= 5; i += 1) say(`${gateway} is dead, line ${i}`);
    await hears(bob, new RegExp(`alice: ${gateway} is dead, line 5$`));
    await stack.start(gateway);
    await stack.ready(gateway);
  }
  say('after');
  await hears(bob, /alice: after$/);
  await hears(alice, /alice: after ✓$/);
  expect(said(bob, 'alice')).toEqual(expected);
  expect(said(alice, 'alice')).toEqual(expected);
}, 90_000);

it('in a pipe each line is a message, and it ends when all are persisted', async () => {
  const bob = open('bob', '--channel', 'later');
  bob.type('one');
  bob.type('/who');
  bob.type('two');
  bob.endInput();
  expect(await bob.exited).toBe(0);
  expect(said(bob, 'bob')).toEqual(['one', 'two']);
  expect(bob.lines.some((line) => line.startsWith('-- here: alice'))).toBe(true);
}, 60_000);

it('what a killed terminal had not yet persisted is sent by the next one of the same user', async () => {
  const first = open('alice', '--channel', 'later');
  await hears(first, /^-- live/);
  await stack.stop('gateway-1');
  await stack.stop('gateway-2');
  await hears(first, /^-- not connected/);
  first.type('kept over the end');
  await hears(first, /^… not yet persisted/);
  first.kill();
  await first.exited;
  await stack.start('gateway-1');
  await stack.start('gateway-2');
  const second = open('alice', '--channel', 'later', '--stay');
  await hears(second, /alice: kept over the end/);
  second.type('and now');
  await hears(second, /alice: and now ✓$/);
  expect(said(second, 'alice').filter((text) => text === 'kept over the end')).toHaveLength(1);
}, 90_000);

it('channels are joined and made; refusals and mistakes are told in words', async () => {
  const bob = open('bob', '--stay');
  await hears(bob, /^-- live/);
  bob.type('/create general');
  await hears(bob, /^! refused: .*public channel of this name exists.*CHANNEL_NAME_TAKEN/);
  bob.type('/join club');
  await hears(bob, /^-- in #club/);
  bob.type('hello club');
  await hears(bob, /#club bob: hello club ✓$/);
  bob.type('/leave');
  bob.type('/nonsense');
  await hears(bob, /^! there is no \/nonsense/);
  bob.type('/channels');
  await hears(bob, /#club \(not joined\)/);
  bob.type('/quit');
  expect(await bob.exited).toBe(0);
}, 60_000);

it('without a running stack it says in one sentence what to do', async () => {
  const lost = open('alice', '--stack', '/nowhere/stack.json');
  expect(await lost.exited).toBe(1);
  expect(lost.lines).toEqual([
    'No running stack found at /nowhere/stack.json: run "npm start" first, or name its file with --stack.',
  ]);
});
