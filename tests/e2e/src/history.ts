/**
 * What a run left behind, gathered from every place a message can be seen. `checker.ts` judges it; nothing here
 * knows how it was gathered, so that hand-made bad histories can be judged by the same code.
 */

import type { MessageView } from '@chat/contracts/http';
import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import type { Scope } from '@chat/contracts/subjects';

/** A row of `event_log`, ascending by `seq` within a partition. */
export type LogRow = {
  readonly partition: number;
  readonly seq: number;
  readonly teamId: TeamId;
  readonly scope: Scope;
  /** The complete frame element, byte for byte. */
  readonly payload: string;
};

/** A message of `EVT_<p>`. */
export type StreamRow = { readonly partition: number; readonly seq: number; readonly payload: string };

/** A row of `command`: how the writer remembers a decided command. */
export type CommandRow = {
  readonly teamId: TeamId;
  readonly commandId: CommandId;
  readonly actor: UserId;
  readonly seq: number;
};

export type Verdict =
  | { readonly kind: 'persisted'; readonly seq: number; readonly duplicate: boolean }
  /** `seq` undefined: refused before anything was stored. */
  | { readonly kind: 'rejected'; readonly code: string; readonly seq: number | undefined };

/** One message that a sender wished, in the order in which the sender sent (`order`). */
export type Send = {
  readonly sender: UserId;
  readonly order: number;
  readonly id: CommandId;
  readonly channelId: ChannelId;
  readonly text: string;
  readonly verdict: Verdict | undefined;
};

/** One device's view of one team: every event element it was given, in the order it was given. */
export type Observer = {
  readonly name: string;
  readonly userId: UserId;
  /** It saw the log from after this seq (exclusive: its first welcome's head or its first cursor)… */
  readonly afterSeq: number;
  /** …up to this one (inclusive). */
  readonly upToSeq: number;
  /** `content` is the element's JSON with its keys in the order they came in. */
  readonly deliveries: readonly { readonly seq: number; readonly content: string }[];
};

/** The whole history of one channel as the read API gave it to one user. */
export type ApiHistory = {
  readonly userId: UserId;
  readonly channelId: ChannelId;
  readonly messages: readonly MessageView[];
};

/** Everything about one team (and the whole of its partition's log). */
export type History = {
  readonly teamId: TeamId;
  readonly log: readonly LogRow[];
  readonly stream: readonly StreamRow[];
  readonly commands: readonly CommandRow[];
  readonly sends: readonly Send[];
  readonly observers: readonly Observer[];
  readonly api: readonly ApiHistory[];
};
