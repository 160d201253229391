/**
 * The conversation of one user: turns lines into commands and messages, and what the client reports into
 * lines. Knows nothing of terminals: `say` prints a line, `prompt` shows where we are.
 */

import type { ChatClient, SubmitResult } from '@chat/client/chat-client';
import type { Channel } from '@chat/client/store';
import type { ConnectionState } from '@chat/client/session-types';
import type { MessageView } from '@chat/contracts/http';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import {
  HELP,
  channelLabel,
  channelLine,
  harmless,
  heldLine,
  messageLine,
  refusalLine,
  stateWord,
} from './words.ts';

/** A message without outcome for this long is spoken of. */
const SLOW_AFTER_MS = 3_000;
/** Ids of printed messages that are remembered, so that none is printed twice. */
const PRINTED_KEEP_COUNT = 5_000;
const HISTORY_DEFAULT_COUNT = 20;

type Deps = {
  readonly client: ChatClient;
  readonly me: UserId;
  readonly firstChannelName: string;
  readonly say: (line: string) => void;
  readonly prompt: (text: string) => void;
  readonly quit: () => void;
};

export type Conversation = ReturnType<typeof createConversation>;

export const createConversation = ({ client, me, firstChannelName, say, prompt, quit }: Deps) => {
  let current: ChannelId | undefined;
  let hasArrived = false;
  let shownPrompt = '';
  let firstHead: number | undefined;
  const printed = new Set<string>();
  /** What was wished, for the sentence when it is refused. */
  const wishes = new Map<string, string>();
  /** Lines wait until we are somewhere: the first channel is entered once the channels are known. */
  const arrived = Promise.withResolvers<void>();

  const showPrompt = (): void => {
    const channel = current && client.channel(current);
    const state = client.state().kind;
    const waiting = client.pendingCount() > 0 ? ` ${client.pendingCount()} pending` : '';
    const text = `[${state}${waiting}] ${channel ? channelLabel(channel) : ''}> `;
    if (text === shownPrompt) return;
    shownPrompt = text;
    prompt(text);
  };

  const print = (message: MessageView): void => {
    if (printed.has(message.id)) return;
    printed.add(message.id);
    const oldest = printed.values().next().value;
    if (printed.size > PRINTED_KEEP_COUNT && oldest !== undefined) printed.delete(oldest);
    const channel = client.channel(message.channelId);
    say(messageLine(message, channel, me));
    if (message.channelId === current) client.markRead(message.channelId, message.channelSeq);
  };

  const byName = (name: string): Channel | undefined => {
    const wanted = name.replace(/^#/, '');
    return client.channels().find((channel) => channel.name === wanted);
  };

  const noted = (result: SubmitResult, wish: string): boolean => {
    if (!result.ok) say(`! ${wish}: ${result.refusal.message} (${result.refusal.code})`);
    else wishes.set(result.id, wish);
    return result.ok;
  };

  /** Resolves when the events up to `seq` have been applied here. */
  const applied = (seq: number): Promise<void> =>
    new Promise((resolve) => {
      const isThere = (): boolean => (client.cursor()?.seq ?? 0) >= seq;
      if (isThere()) return resolve();
      const off = client.on('change', () => {
        if (!isThere()) return;
        off();
        resolve();
      });
    });

  /** Whether the command was carried out; its effect is visible then. A refusal is told by the verdict's listener. */
  const done = async (result: SubmitResult, wish: string): Promise<boolean> => {
    if (!noted(result, wish)) return false;
    const verdict = await client.outcome(result.id);
    if (verdict.kind === 'rejected') return false;
    await applied(verdict.seq);
    return true;
  };

  const showHistory = async (count: number, isAsked: boolean): Promise<void> => {
    if (!current) return;
    const channelId = current;
    if (client.messages(channelId).length < count && client.hasMoreBefore(channelId)) {
      const result = await client.loadOlder(channelId);
      if (!result.ok) say(`! history: ${result.error.message}`);
    }
    const messages = client
      .messages(channelId)
      .slice(-count)
      .filter(({ id }) => isAsked || !printed.has(id));
    if (client.messages(channelId).length === 0) return say('-- nothing has been said here yet');
    for (const message of messages) {
      printed.add(message.id);
      say(messageLine(message, client.channel(channelId), me));
    }
  };

  const enter = async (channel: Channel): Promise<void> => {
    if (current && current !== channel.id) client.closeChannel(current);
    current = channel.id;
    say(`-- in ${channelLabel(channel)}`);
    const result = await client.openChannel(channel.id);
    if (!result.ok) return say(`! ${result.error.message} (${result.error.code})`);
    if (current !== channel.id) return;
    await showHistory(10, false);
    const last = client.messages(channel.id).at(-1);
    if (last) client.markRead(channel.id, last.channelSeq);
  };

  const join = async (name: string): Promise<void> => {
    const channel = byName(name);
    if (!channel)
      return say(`! there is no channel #${harmless(name)}; make it with /create ${harmless(name)}`);
    if (channel.role === undefined) {
      const result = client.command('channel.join', { channelId: channel.id });
      if (!(await done(result, `/join ${name}`))) return;
    }
    await enter(client.channel(channel.id) ?? channel);
  };

  const create = async (name: string): Promise<void> => {
    const result = client.command('channel.create', { kind: 'public', name: name.replace(/^#/, '') });
    if (!(await done(result, `/create ${name}`))) return;
    const channel = client.channel(result.id as ChannelId);
    if (channel) await enter(channel);
  };

  const leave = async (name: string | undefined): Promise<void> => {
    const channel = name ? byName(name) : current && client.channel(current);
    if (!channel) return say('! which channel? /leave <channel>');
    const label = channelLabel(channel);
    if (!(await done(client.command('channel.leave', { channelId: channel.id }), `/leave ${label}`))) return;
    if (current === channel.id) current = undefined;
    client.closeChannel(channel.id);
    say(`-- left ${label}`);
  };

  const who = async (): Promise<void> => {
    if (!current) return;
    const result = await client.loadMembers(current);
    if (!result.ok) return say(`! ${result.error.message}`);
    const names = client
      .members(current)
      .map(({ userId, role }) => (role === 'member' ? userId : `${userId} (${role})`));
    say(`-- here: ${names.sort().join(', ')}`);
  };

  const sendText = (text: string): void => {
    if (!current) return say('! you are in no channel: /join or /create one first');
    const result = client.send(current, text);
    if (!noted(result, `"${harmless(text)}"`)) return;
    setTimeout(() => {
      if (wishes.has(result.id)) say(`… not yet persisted, kept and sent again: "${harmless(text)}"`);
    }, SLOW_AFTER_MS).unref();
  };

  const runCommand = async (line: string): Promise<void> => {
    const [word = '', ...rest] = line.slice(1).trim().split(/\s+/);
    const argument = rest.join(' ');
    switch (word) {
      case 'channels':
        for (const channel of client.channels()) say(channelLine(channel, channel.id === current));
        return;
      case 'join':
        return argument ? join(argument) : say('! /join <channel>');
      case 'create':
        return argument ? create(argument) : say('! /create <channel>');
      case 'leave':
        return leave(argument || undefined);
      case 'history':
        return showHistory(Math.min(Math.max(1, Number(argument) || HISTORY_DEFAULT_COUNT), 200), true);
      case 'who':
        return who();
      case 'quit':
        return quit();
      case 'help':
        return say(HELP);
      default:
        return say(`! there is no /${harmless(word)}; /help shows what there is`);
    }
  };

  /** The first channel: the one asked for, else any that we are in. */
  const arrive = async (): Promise<void> => {
    if (hasArrived) return;
    hasArrived = true;
    const asked = byName(firstChannelName);
    const channel = asked?.role ? asked : (client.channels().find(({ role }) => role !== undefined) ?? asked);
    if (!channel) say('-- you are in no channel yet: /channels shows what there is, /create makes one');
    else if (channel.role === undefined) await join(channel.name ?? '');
    else await enter(channel);
    arrived.resolve();
  };

  const stateChanged = (state: ConnectionState): void => {
    say(`-- ${stateWord(state)}`);
    if (state.kind === 'live') void arrive();
    showPrompt();
  };

  client.on('state', stateChanged);
  client.on('snapshot', ({ head, reason }) => {
    firstHead ??= head;
    if (reason !== 'fresh') say('-- away for long: what was said meanwhile is in /history');
  });
  client.on('message', (message) => {
    if (firstHead !== undefined && message.seq > firstHead) print(message);
  });
  client.on('verdict', (verdict) => {
    const wish = wishes.get(verdict.id);
    wishes.delete(verdict.id);
    if (verdict.kind === 'rejected' && wish !== undefined) say(refusalLine(verdict, wish));
  });
  client.on('held', (held) => {
    // A read mark goes by itself and concerns nobody.
    if (wishes.has(held.id)) say(heldLine(held));
  });
  client.on('draining', ({ reconnectAfterMs }) =>
    say(`-- the server is shutting down: moving to another in ${Math.ceil(reconnectAfterMs / 1_000)} s`),
  );
  client.on('event', (event) => {
    if (event.type !== 'member.added' && event.type !== 'member.removed') return;
    const channel = event.channelId && client.channel(event.channelId);
    if (!channel || event.data.userId === me) return;
    say(
      `-- ${event.data.userId} ${event.type === 'member.added' ? 'joined' : 'left'} ${channelLabel(channel)}`,
    );
  });
  client.on('gap', ({ from, to }) => say(`-- messages ${from}–${to} went missing on the way; reading them`));
  client.on('error', ({ message, code }) => say(`! the gateway says: ${harmless(message)} (${code})`));
  client.on('fault', ({ where }) => say(`! a fault in the ${where} of this program`));
  client.on('change', showPrompt);

  return {
    line: async (line: string): Promise<void> => {
      if (line.trim() === '') return;
      await arrived.promise;
      if (line.startsWith('/')) await runCommand(line);
      else sendText(line);
      showPrompt();
    },
  };
};
