/** What every kind of client of the workload can be asked to do. A client never throws: faults are its daily bread. */

import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import type { Recorder } from '../recorder.ts';

export type LoadClient = {
  readonly name: string;
  readonly teamId: TeamId;
  readonly userId: UserId;
  readonly isListener: boolean;
  readonly start: () => void;
  readonly isReady: () => boolean;
  /** False: it has as much under way as it takes; nothing was sent. */
  readonly send: (channelId: ChannelId, text: string) => boolean;
  /** The last message whose outcome it knows, once more under its id. */
  readonly repeat?: () => boolean;
  readonly mark?: (channelId: ChannelId) => void;
  /** A membership command of its own. */
  readonly membership?: (name: 'channel.join' | 'channel.leave', channelId: ChannelId) => void;
  /** Cuts its socket. */
  readonly reconnect?: () => boolean;
  /** Sends without outcome. */
  readonly pendingCount: () => number;
  /** How far it has seen the log; undefined: it does not listen. */
  readonly seenSeq: () => number | undefined;
  /** Writes its last `cursor` line. */
  readonly stop: () => Promise<void>;
};

export type ClientDeps = {
  readonly name: string;
  readonly teamId: TeamId;
  readonly userId: UserId;
  readonly token: () => Promise<string>;
  readonly recorder: Recorder;
  readonly random: () => number;
};

/** Newest message of each channel that a client knows: what it marks as read, and what it may expect of a page. */
export type Known = Map<ChannelId, { readonly channelSeq: number; readonly seq: number }>;

/** A client sends again after this silence (libs/contracts RESEND_AFTER_MS; shorter here, so that runs need not wait). */
export const RESEND_AFTER_SILENCE_MS = 5_000;
export const DEFAULT_RETRY_MS = 300;
