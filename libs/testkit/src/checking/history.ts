/**
 * What a run left behind, gathered from every place a message can be seen. `checker.ts` judges it; nothing here
 * knows how it was gathered, so that hand-made bad histories can be judged by the same code.
 */

import type { ChannelView, MessageView } from '@chat/contracts/http';
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
  /** Every resume: the cursor it came with and the head it was answered with. A hole there has a name of its own. */
  readonly resumes?: readonly { readonly fromSeq: number; readonly head: number }[];
};

/** A command of which its sender was told `accepted`. */
export type Accepted = { readonly sender: UserId; readonly id: CommandId };

/** A page read while the system ran: the newest messages of a channel, asked for with `minSeq`. */
export type PageRead = {
  readonly userId: UserId;
  readonly channelId: ChannelId;
  /** Seq of a message of this channel that the reader knew to be persisted before it asked; 0: none. */
  readonly minSeq: number;
  readonly messages: readonly { readonly id: string; readonly channelSeq: number; readonly seq: number }[];
};

/** What the API says about a user's channels when all is quiet. */
export type ChannelList = { readonly userId: UserId; readonly channels: readonly ChannelView[] };

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
  readonly accepted?: readonly Accepted[];
  readonly reads?: readonly PageRead[];
  readonly lists?: readonly ChannelList[];
  /** The log and stream rows given begin after this seq of their partition. Default: they are whole. */
  readonly afterSeq?: ReadonlyMap<number, number>;
  /** What stands for an element in `deliveries` instead of its bytes, so that a long history stays small. */
  readonly digest?: (payload: string) => string;
};
