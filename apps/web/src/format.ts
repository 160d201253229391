/** Words and numbers as the page shows them. Pure. */

import type { ConnectionState } from '@chat/client/session-types';
import type { Channel } from '@chat/client/store';

const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

export const timeOf = (atMs: number): string => timeFormat.format(atMs);
export const isoOf = (atMs: number): string => new Date(atMs).toISOString();

/** Changes when the local day changes. */
export const dayKeyOf = (atMs: number): string => new Date(atMs).toDateString();

export const dayOf = (atMs: number, nowMs: number): string => {
  if (dayKeyOf(atMs) === dayKeyOf(nowMs)) return 'Today';
  if (dayKeyOf(atMs) === dayKeyOf(nowMs - 86_400_000)) return 'Yesterday';
  return dayFormat.format(atMs);
};

export const displayName = (userId: string): string => userId.charAt(0).toUpperCase() + userId.slice(1);

export const channelTitle = (channel: Channel): string =>
  channel.name ?? (channel.memberIds.map(displayName).join(', ') || 'Just you');

/** One of the eight avatar colours (see style.css), the same for a user everywhere. */
export const avatarHue = (userId: string): number => {
  let sum = 0;
  for (const char of userId) sum = (sum * 17 + (char.codePointAt(0) ?? 0)) % 997;
  return sum % 8;
};

export const countOf = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** `127.0.0.1:8081` of `ws://127.0.0.1:8081`. */
export const hostOf = (url: string): string => url.replace(/^wss?:\/\//, '').replace(/\/.*$/, '');

export type StateTone = 'good' | 'busy' | 'bad';

export const toneOf = (state: ConnectionState): StateTone =>
  state.kind === 'live' ? 'good' : state.kind === 'stopped' ? 'bad' : 'busy';

export const stateWord = (state: ConnectionState): string => {
  switch (state.kind) {
    case 'idle':
    case 'connecting':
      return 'Connecting…';
    case 'replaying':
      return 'Catching up…';
    case 'snapshot':
      return 'Loading channels…';
    case 'live':
      return 'Connected';
    case 'waiting':
      return 'Connection lost';
    case 'stopped':
      return 'Disconnected';
  }
};

export const stopWords = (state: Extract<ConnectionState, { kind: 'stopped' }>): string => {
  const { reason } = state;
  if (reason.kind === 'by_caller') return 'You left.';
  if (reason.kind === 'user_changed') return 'Messages of another user are still waiting in this tab.';
  if (reason.kind === 'outdated') return 'This page is out of date. Reload it to go on.';
  if (reason.closeCode === 4501) return 'The server did not accept your token.';
  if (reason.closeCode === 4502) return 'You are not a member of this team (any longer).';
  return `The server ended the session (${reason.closeCode}${reason.message ? `: ${reason.message}` : ''}).`;
};
