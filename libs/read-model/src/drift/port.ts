/**
 * What the drift checker needs: the log, which is the truth, and a version of the core read model as it stands.
 *
 * What moves while it looks: the projector goes on applying. So everything that is compared is read in one snapshot of
 * the store, which holds the checkpoint too: in it every row must be what the log up to that checkpoint makes of it, no
 * more and no less, and nothing has to be guessed about what came meanwhile (docs/adr/0028).
 */

import type { TeamId } from '@chat/contracts/ids';
import type {
  ChannelHead,
  ChannelKey,
  ChannelMemberRow,
  ChannelRow,
  Changes,
  MessageRow,
  ReadMarkRow,
  TeamMemberRow,
  TeamRow,
} from '../fold.ts';
import type { Checkpoint, ReadEvent } from '../port.ts';

/** Of one partition, or of one team in it. */
export type DriftScope = { readonly partition: number; readonly teamId?: TeamId | undefined };

/** Messages are compared by digests of ranges of so many channelSeqs: range n holds (n · this, (n + 1) · this]. */
export const RANGE_COUNT = 1_000;
export const rangeOf = (channelSeq: number): number => Math.ceil(channelSeq / RANGE_COUNT) - 1;

export type DriftLog = {
  /**
   * Events after `afterSeq` up to `upTo` that concern the scope, ascending, at most a page of them; everything up to
   * `reachedSeq` is in the answer. `channel`: only its messages. Throws when the log lacks an event, or holds one that is not understood.
   */
  read(
    scope: DriftScope,
    afterSeq: number,
    upTo: number,
    channel?: ChannelKey,
  ): Promise<{ readonly events: readonly ReadEvent[]; readonly reachedSeq: number }>;
  /** Digest of the payload of event `seq`, as kept with checkpoints. */
  digest(partition: number, seq: number): Promise<string | undefined>;
  /** The epoch that the writer goes by. */
  epoch(partition: number): Promise<string | undefined>;
};

/** A row of the store that is no message. `isWhole` false: what the store derives from the row for its indexes is wrong. */
export type StateRow = { readonly isWhole: boolean } & (
  | { readonly of: 'team'; readonly row: TeamRow }
  | { readonly of: 'team_member'; readonly row: TeamMemberRow }
  | { readonly of: 'channel'; readonly row: ChannelRow; readonly head: ChannelHead }
  | { readonly of: 'channel_member'; readonly row: ChannelMemberRow }
  | { readonly of: 'read_mark'; readonly row: ReadMarkRow }
);

export type StoredRange = ChannelKey & {
  readonly range: number;
  readonly count: number;
  /** See digest.ts; undefined when rows were only counted. */
  readonly digest: string | undefined;
};
export type StoredMessage = { readonly isWhole: boolean; readonly row: MessageRow };

/** The store at one moment. */
export type DriftView = {
  readonly checkpoint: Checkpoint | undefined;
  /** Every row of the scope that is no message, in pages. */
  states(onRow: (row: StateRow) => void): Promise<void>;
  /** Every range of the scope that holds messages, also of channels that are not among `expected`. */
  ranges(
    expected: readonly (ChannelKey & { readonly count: number })[],
    withDigests: boolean,
    onRange: (range: StoredRange) => void,
  ): Promise<void>;
  /** The messages of one range, ascending. */
  messages(key: ChannelKey, range: number): Promise<readonly StoredMessage[]>;
};

/** What is to be put right: rows by key, or a range of messages. */
export type Fix =
  | { readonly of: 'team'; readonly teamId: TeamId }
  | { readonly of: 'team_member'; readonly teamId: TeamId; readonly userId: TeamMemberRow['userId'] }
  | ({ readonly of: 'channel' } & ChannelKey)
  | ({ readonly of: 'channel_member' | 'read_mark'; readonly userId: TeamMemberRow['userId'] } & ChannelKey)
  | ({ readonly of: 'messages'; readonly range: number } & ChannelKey);

export type DriftWriter = {
  readonly checkpoint: Checkpoint | undefined;
  /** Removes whatever stands under the fixes, then writes `rows` (which hold nothing else), all or nothing. */
  replace(fixes: readonly Fix[], rows: Changes, members: readonly ChangedMembership[]): Promise<void>;
};
/** Newest change of a user's memberships in a team, of users whose memberships are put right. */
export type ChangedMembership = {
  readonly teamId: TeamId;
  readonly userId: TeamMemberRow['userId'];
  readonly seq: number;
};

export type DriftStore = {
  inSnapshot<T>(scope: DriftScope, look: (view: DriftView) => Promise<T>): Promise<T>;
  /**
   * `write` while no batch of the partition can be applied. Afterwards no projector goes by what it remembered of the
   * store before: heads that it had read from a row that was wrong.
   */
  exclusively<T>(partition: number, write: (writer: DriftWriter) => Promise<T>): Promise<T>;
};
