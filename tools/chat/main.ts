/** `npm run chat -- --as alice`: a terminal chat client on libs/client. */

import { dirname, join } from 'node:path';
import { createChatClient } from '@chat/client/chat-client';
import { createDevToken } from '@chat/client/dev-token';
import { createConversation } from './conversation.ts';

import { openFileStorage } from './file-storage.ts';
import { type ChatOptions, USAGE, parseOptions } from './options.ts';
import { type StackAddresses, readStackFile } from './stack-file.ts';
import { createTerminal } from './terminal.ts';

/** In a pipe: how long the end of input waits for outcomes before what is left is kept for the next time. */
const LINGER_MS = 30_000;
const LINGER_STEP_MS = 50;

const shuffled = <T>(items: readonly T[]): readonly T[] =>
  items
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);

const untilNone = async (unfinishedCount: () => number): Promise<void> => {
  const endMs = Date.now() + LINGER_MS;
  while (unfinishedCount() > 0 && Date.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, LINGER_STEP_MS));
  }
};

const chat = async (options: ChatOptions, stack: StackAddresses): Promise<void> => {
  const { user } = options;
  const file = join(dirname(options.stackFile), 'chat', `${stack.teamId}.${user}.json`);
  const storage = openFileStorage(file);
  const client = createChatClient({
    // Each terminal begins at a gateway of its own choice.
    gatewayUrls: shuffled(stack.gatewayUrls),
    apiUrl: stack.apiUrl,
    teamId: stack.teamId,
    getToken: createDevToken(stack.apiUrl, user),
    device: 'terminal',
    ...(storage ? { storage } : {}),
  });
  const over = Promise.withResolvers<void>();
  const isPipe = !process.stdin.isTTY;
  /** Lines are worked through one after another. */
  let turn = Promise.resolve();
  let openLineCount = 0;
  const unfinishedCount = (): number => openLineCount + client.pendingCount();
  const finish = (): void => {
    if (isPipe) void untilNone(unfinishedCount).then(over.resolve);
    else over.resolve();
  };
  const terminal = createTerminal({
    input: process.stdin,
    output: process.stdout,
    onLine: (line) => {
      // At a terminal /quit is obeyed at once, also while other lines still wait for a connection.
      if (!isPipe && line.trim() === '/quit') return over.resolve();
      openLineCount += 1;
      turn = turn.then(() => conversation.line(line)).finally(() => (openLineCount -= 1));
    },
    onEnd: () => {
      if (!isPipe || !options.stay) finish();
    },
  });
  const conversation = createConversation({
    client,
    me: user,
    firstChannelName: options.channelName,
    say: terminal.say,
    prompt: terminal.prompt,
    quit: finish,
  });
  client.on('state', (state) => {
    if (state.kind === 'stopped' && state.reason.kind !== 'by_caller') over.resolve();
  });
  process.once('SIGINT', over.resolve);
  process.once('SIGTERM', over.resolve);
  terminal.say(
    `${user}: /help shows what you can do${storage ? '' : ' (another terminal of yours is open: nothing is kept here)'}`,
  );
  await client.start();
  await over.promise;
  const pendingCount = client.pendingCount();
  const unsaidCount = openLineCount;
  terminal.close();
  await client.stop();
  storage?.release();
  if (unsaidCount > 0)
    process.stdout.write(`! ${unsaidCount} lines were not said: there was no connection\n`);
  if (pendingCount > 0)
    process.stdout.write(`-- ${pendingCount} not yet persisted; kept and sent next time\n`);
};

const main = async (): Promise<number> => {
  const parsed = parseOptions(process.argv.slice(2));
  if (parsed.kind === 'help') {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (parsed.kind === 'bad') {
    process.stderr.write(`${parsed.message}\n\n${USAGE}\n`);
    return 2;
  }
  const stackFile = await readStackFile(parsed.options.stackFile);
  if (!stackFile.ok) {
    process.stderr.write(`${stackFile.message}\n`);
    return 1;
  }
  await chat(parsed.options, stackFile.stack);
  return 0;
};

process.exit(await main());
