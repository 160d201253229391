/**
 * Search as a port: a view of its own, with its own checkpoints. It holds messages and nothing else; who may see which of them is
 * the core's to say, at the moment of the question (`ReadModel.visibleChannels`). What every adapter promises
 * (pinned by ../testing/search-contract.ts), besides what a ProjectionTarget does:
 *
 * - **Who may read (I3).** A hit is in one of `channels`, beyond its `visibleAfter`, and its `seq` is not beyond the `asOf` at which
 *   the core said so: a message after a removal that the core has not applied yet does not leak, however far search is ahead.
 * - **Complete.** Pages followed to their end hold every such message up to the smaller `asOf`, each once, newest first.
 * - **Bounded work.** A question looks at its newest messages first and for a bounded time; then it answers what it has and
 *   where to go on.
 */

import type { MessageView } from '@chat/contracts/http';
import type { TeamId, UserId } from '@chat/contracts/ids';
import type { ProjectionTarget, VisibleChannel } from '../port.ts';
import type { SearchQuery } from './query.ts';

export type SearchRequest = Pick<SearchQuery, 'needles' | 'grams'> & {
  readonly teamId: TeamId;
  readonly channels: readonly VisibleChannel[];
  /** The core's, when it named the channels. */
  readonly asOf: number;
  readonly actor?: UserId;
  /** `at` of the message, ms since the Unix epoch: beforeMs is excluded, afterMs included. */
  readonly beforeMs?: number;
  readonly afterMs?: number;
  /** Only messages with a smaller ordinal: `nextBelow` of the page before. */
  readonly below?: number;
  readonly limitCount: number;
};

export type SearchPage = {
  readonly epoch: string;
  /** All messages of the partition up to this event were searched (up to the request's own `asOf`). */
  readonly asOf: number;
  /** Newest first. May be fewer than `limitCount` also where `nextBelow` is there. */
  readonly messages: readonly MessageView[];
  /** Undefined: there is no more. */
  readonly nextBelow?: number;
};

export type SearchModel = ProjectionTarget & {
  /** Undefined: nothing of the partition was applied yet. */
  find(request: SearchRequest): Promise<SearchPage | undefined>;
};
