/** What the terminal client says, as text. Pure. */

import type { ConnectionState, Held, Verdict, WaitCause } from '@chat/client/session-types';
import type { Channel } from '@chat/client/store';
import type { MessageView } from '@chat/contracts/http';
import type { UserId } from '@chat/contracts/ids';

/** Foreign text must not steer the terminal: control characters are shown, not obeyed. */
export const harmless = (text: string): string =>
  // eslint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd').replaceAll('\n', '\n    ');

export const channelLabel = (channel: Channel): string =>
  channel.name === undefined ? `@${channel.memberIds.join(', ')}` : `#${harmless(channel.name)}`;

const clock = (atMs: number): string => new Date(atMs).toTimeString().slice(0, 8);

export const messageLine = (message: MessageView, channel: Channel | undefined, me: UserId): string => {
  const place = channel ? `${channelLabel(channel)} ` : '';
  const mark = message.actor === me ? ' ✓' : '';
  return `${clock(message.at)} ${place}${message.actor}: ${harmless(message.text)}${mark}`;
};

export const channelLine = (channel: Channel, isCurrent: boolean): string => {
  const joined = channel.role === undefined ? '(not joined)' : '';
  const unread = channel.unreadCount > 0 ? `${channel.unreadCount} unread` : '';
  return [isCurrent ? '*' : ' ', channelLabel(channel), unread, joined].filter(Boolean).join(' ');
};

const causeWord: Record<WaitCause, string> = {
  lost: 'not connected',
  draining: 'the server is shutting down',
  busy: 'the service is overloaded',
  token: 'the token ran out and is renewed',
};

/** A command that the server does not take at the moment. */
export const heldLine = ({ code, retryInMs }: Held): string => {
  const isTooFast = code === 'RATE_LIMITED' || code === 'IN_FLIGHT_EXCEEDED';
  const why = isTooFast ? 'slow down, faster than the limit' : `the service is overloaded (${code})`;
  return `-- ${why}: kept, goes again in ${Math.ceil(retryInMs / 1_000)} s`;
};

export const stateWord = (state: ConnectionState): string => {
  switch (state.kind) {
    case 'idle':
      return 'not connected';
    case 'connecting':
      return `connecting to ${state.gatewayUrl}`;
    case 'replaying':
      return 'catching up';
    case 'snapshot':
      return 'reading channels';
    case 'live':
      return 'live';
    case 'waiting':
      return `${causeWord[state.cause]} (${harmless(state.reason)}); trying again in ${(state.retryInMs / 1000).toFixed(1)} s`;
    case 'stopped':
      if (state.reason.kind === 'closed') {
        return `stopped: ${harmless(state.reason.message)} (${state.reason.closeCode})`;
      }
      return state.reason.kind === 'by_caller'
        ? 'stopped'
        : 'stopped: the kept messages belong to another user';
  }
};

export const refusalLine = (verdict: Extract<Verdict, { kind: 'rejected' }>, what: string): string =>
  `! refused: ${what}: ${harmless(verdict.message)} (${verdict.code})`;

export const HELP = `/channels            the channels, with unread counts
/join <channel>      go to a channel; join it if need be
/create <channel>    make a public channel and go there
/leave [channel]     leave a channel
/history [count]     what was said before
/who                 who is in this channel
/quit                leave; what is not yet persisted is kept and sent next time
anything else        is said in this channel`;
