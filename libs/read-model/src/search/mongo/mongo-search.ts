/** Search in MongoDB: one question, one snapshot; its finds go one after another. */

import { partitionOf } from '@chat/contracts/ids';
import type { ClientSession, Document, Filter, MongoClient } from 'mongodb';
import { createCheckpoints } from '../../mongo/checkpoints.ts';
import { databaseOf } from '../../mongo/collections.ts';
import { createTransactions } from '../../mongo/transactions.ts';
import {
  type OrdinalMessage,
  type SearchStore,
  type SearchTuning,
  type SearchWindow,
  find,
  searchTuning,
} from '../find.ts';
import type { SearchModel, SearchRequest } from '../port.ts';
import { spread } from '../query.ts';
import { actorToken, channelToken, gramTokens } from '../tokens.ts';
import { applySearchBatch, seedOfTeam } from './search-apply.ts';
import {
  type SearchCollections,
  type SearchMessageDoc,
  TOKEN_INDEX,
  ordinalKey,
  searchCollectionsOf,
} from './search-collections.ts';

export type MongoSearchDeps = {
  /** Owned by the caller, who closes it. */
  readonly client: MongoClient;
  /** See `MongoClientOptions`. */
  readonly timeoutMs: number;
  readonly database: string;
  /** For tests. */
  readonly tuning?: SearchTuning;
};

export const createMongoSearchModel = ({
  client,
  timeoutMs,
  database,
  tuning = searchTuning,
}: MongoSearchDeps): SearchModel => {
  const collections = searchCollectionsOf(databaseOf(client, database));
  const transactions = createTransactions(client, collections, timeoutMs);
  const { guarded, checkpoint, adoptEpoch } = createCheckpoints(client, collections.checkpoint, timeoutMs);
  return {
    checkpoint,
    applyBatch: (batch) => guarded(() => applySearchBatch(collections, transactions, batch)),
    adoptEpoch,
    find: (request) =>
      guarded(() =>
        client.withSession({ snapshot: true }, (session) =>
          find(storeOf(collections, session, timeoutMs), request, tuning),
        ),
      ),
  };
};

const storeOf = (
  { checkpoint, team, message }: SearchCollections,
  session: ClientSession,
  timeoutMs: number,
): SearchStore => {
  // A new object each time: the driver writes the time of the snapshot into it.
  const options = () => ({ session, maxTimeMS: timeoutMs, readConcern: { level: 'snapshot' as const } });
  return {
    position: async ({ teamId }) => {
      const held = await checkpoint.findOne({ _id: partitionOf(teamId) }, options());
      if (!held) return undefined;
      const row = await team.findOne({ _id: teamId }, options());
      return { epoch: held.epoch, asOf: held.seq, lastOrdinal: row?.messageCount ?? 0 };
    },
    within: async (request, window, limitCount) => {
      const [range, sort] = rangeOf(request, window);
      const filter = { ...range, ...matches(request) } as Filter<SearchMessageDoc>;
      const docs = await message
        .find(filter, {
          ...options(),
          sort,
          limit: limitCount,
          batchSize: limitCount,
          projection: { tokens: 0, folded: 0 },
          ...(window.kind === 'indexed' ? { hint: TOKEN_INDEX } : {}),
        })
        .toArray();
      return docs.map(messageOf);
    },
  };
};

/** Walked from its end: a short range of the keys, or one of the tokens' (the server tries which) within the window. */
const rangeOf = (
  request: SearchRequest,
  { kind, above, upTo }: SearchWindow,
): readonly [Filter<SearchMessageDoc>, Readonly<Record<string, -1>>] => {
  const { teamId } = request;
  if (kind === 'recent') {
    return [{ _id: { $gt: ordinalKey(teamId, above), $lte: ordinalKey(teamId, upTo) } }, { _id: -1 }];
  }
  return [
    { teamId, ordinal: { $gt: above, $lte: upTo }, tokens: { $all: tokensOf(request) } },
    { ordinal: -1 },
  ];
};

/**
 * The server walks the index of one token only, the one that it finds to be the rarest by trying them all at once; more of
 * them make the trial dearer and the walk no shorter.
 */
const GRAMS_MAX_COUNT = 4;

/** Some of what a match has in the index. */
const tokensOf = ({ teamId, grams, channels, actor }: SearchRequest): number[] => {
  const seed = seedOfTeam(teamId);
  const [only] = channels;
  return [
    ...gramTokens(seed, spread(grams, GRAMS_MAX_COUNT)),
    ...(only && channels.length === 1 ? [channelToken(seed, only.channelId)] : []),
    ...(actor === undefined ? [] : [actorToken(seed, actor)]),
  ];
};

/** Channels with a beginning of their own in one question; with more of them `find` turns away what lies before it. */
const FLOORS_MAX_COUNT = 100;

const matches = ({ channels, asOf, needles, actor, beforeMs, afterMs }: SearchRequest): Document => {
  const floors = channels.filter(({ visibleAfter }) => visibleAfter > 0);
  const whole = channels.filter(({ visibleAfter }) => visibleAfter === 0);
  const isShort = floors.length <= FLOORS_MAX_COUNT;
  const inOneOf = (list: SearchRequest['channels']) => ({
    channelId: { $in: list.map(({ channelId }) => channelId) },
  });
  const beyond = floors.map(({ channelId, visibleAfter }) => ({
    channelId,
    channelSeq: { $gt: visibleAfter },
  }));
  const searched = { $ifNull: ['$folded', '$text'] };
  const holds = needles.map((needle) => ({ $gte: [{ $indexOfBytes: [searched, { $literal: needle }] }, 0] }));
  const at = {
    ...(beforeMs === undefined ? {} : { $lt: beforeMs }),
    ...(afterMs === undefined ? {} : { $gte: afterMs }),
  };
  return {
    seq: { $lte: asOf },
    ...(isShort && beyond.length > 0 ? { $or: [inOneOf(whole), ...beyond] } : inOneOf(channels)),
    ...(actor === undefined ? {} : { actor }),
    ...(Object.keys(at).length === 0 ? {} : { at }),
    $expr: { $and: holds },
  };
};

const messageOf = (doc: Omit<SearchMessageDoc, 'tokens'>): OrdinalMessage => {
  const { ordinal, id, channelId, channelSeq, seq, actor, at, text } = doc;
  return { ordinal, id, channelId, channelSeq, seq, actor, at, text };
};
