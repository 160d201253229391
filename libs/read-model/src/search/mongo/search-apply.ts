/**
 * Applying a batch. As in the core (../../mongo/apply.ts) a transaction begins by taking the checkpoint; but a server refuses
 * transactions with very many index entries (TransactionTooLargeForCache), so a batch of long texts is written in parts, a
 * transaction each, and the last moves the checkpoint and the teams' message counts.
 *
 * Crash points: rows of the parts before are beyond the message count of their team, where no search looks; they are written
 * again, under the same ordinals, by whoever applies the batch. Every part finds the checkpoint where the first did, or begins
 * anew: nobody writes a row of another epoch, or below a count that someone else has moved on.
 *
 * A row is usually new, so it is inserted, which costs the server a fraction of replacing it. Where one stands already (of a
 * crash between parts) the transaction ends, and the rest of the batch is written over whatever is there.
 */

import type { TeamId } from '@chat/contracts/ids';
import type { ClientSession } from 'mongodb';
import { isDuplicateKey, takeCheckpoint } from '../../mongo/apply.ts';
import type { Transactions } from '../../mongo/transactions.ts';
import type { ApplyResult, Checkpoint, EventBatch, ReadEvent } from '../../port.ts';
import { nothingToApply } from '../../standing.ts';
import { type SearchRow, type Tokenised, inParts, searchRows, teamsOfMessages } from '../rows.ts';
import { messageTokens, seedOf } from '../tokens.ts';
import { type SearchCollections, type SearchMessageDoc, ordinalKey } from './search-collections.ts';

/** This store has no buckets. */
const NO_BUCKET = 0;
/** Index entries of one transaction; a message of 32 KiB has up to 22,000. */
const TOKENS_MAX_COUNT = 25_000;

export const seedOfTeam = (teamId: TeamId): number => seedOf(teamId, NO_BUCKET);

/** What is to be written after a checkpoint. */
type Plan = {
  readonly heldSeq: number;
  readonly parts: readonly (readonly Tokenised<SearchRow>[])[];
  readonly messageCounts: ReadonlyMap<TeamId, number>;
};

type Step = { readonly done: ApplyResult } | { readonly plan: Plan; readonly writtenCount: number };
/** `insert`: none of them is in the store; otherwise error 11000, and the transaction is over. */
type Writes = 'insert' | 'replace';

export const applySearchBatch = async (
  collections: SearchCollections,
  transactions: Transactions,
  batch: EventBatch,
): Promise<ApplyResult> => {
  let plan: Plan | undefined;
  let writtenCount = 0;
  let how: Writes = 'insert';
  const writePart = (): Promise<Step> =>
    transactions.run(batch.partition, async (session) => {
      const held = await takeCheckpoint(session, collections, batch);
      const answer = nothingToApply(held, batch);
      if (answer) {
        await session.abortTransaction();
        return { done: answer };
      }
      const isSame = plan?.heldSeq === held.seq;
      const current = isSame && plan ? plan : await planOf(session, collections, batch.events, held.seq);
      const at = isSame ? writtenCount : 0;
      await writeMessages(session, collections, current.parts[at] ?? [], how);
      if (at + 1 < current.parts.length) return { plan: current, writtenCount: at + 1 };
      return { done: await writeEnd(session, collections, batch, current) };
    });
  for (;;) {
    try {
      const step = await writePart();
      if ('done' in step) return step.done;
      ({ plan, writtenCount } = step);
    } catch (error) {
      if (how === 'replace' || !isDuplicateKey(error)) throw error;
      how = 'replace';
    }
  }
};

/** While the checkpoint is taken, the number of each team's messages is that of the checkpoint. */
const planOf = async (
  session: ClientSession,
  { team }: SearchCollections,
  events: readonly ReadEvent[],
  heldSeq: number,
): Promise<Plan> => {
  const fresh = events.filter(({ event }) => event.seq > heldSeq);
  const teams = teamsOfMessages(fresh);
  const known = teams.length === 0 ? [] : await team.find({ _id: { $in: teams } }, { session }).toArray();
  const counts = new Map(known.map(({ _id, messageCount }) => [_id, messageCount]));
  const { rows, messageCounts } = searchRows(fresh, counts);
  const tokensOf = (row: SearchRow) => messageTokens(seedOfTeam(row.teamId), row);
  return { heldSeq, parts: inParts(rows, tokensOf, TOKENS_MAX_COUNT), messageCounts };
};

const writeMessages = async (
  session: ClientSession,
  { message }: SearchCollections,
  part: Plan['parts'][number],
  how: Writes,
): Promise<void> => {
  if (part.length === 0) return;
  const documents = part.map(searchDocOf);
  if (how === 'insert') {
    await message.insertMany(documents, { session, ordered: true });
    return;
  }
  const replaces = documents.map((replacement) => ({
    replaceOne: { filter: { _id: replacement._id }, replacement, upsert: true },
  }));
  await message.bulkWrite(replaces, { session, ordered: true });
};

const writeEnd = async (
  session: ClientSession,
  { team, checkpoint }: SearchCollections,
  { partition, epoch, upTo, digest }: EventBatch,
  { messageCounts }: Plan,
): Promise<ApplyResult> => {
  const tops = [...messageCounts].map(([_id, messageCount]) => ({
    updateOne: { filter: { _id }, update: { $set: { messageCount } }, upsert: true },
  }));
  if (tops.length > 0) await team.bulkWrite(tops, { session, ordered: true });
  const reached: Checkpoint = { epoch, seq: upTo, digest };
  await checkpoint.updateOne({ _id: partition }, { $set: { seq: upTo, digest } }, { session });
  return { kind: 'applied', checkpoint: reached };
};

/** Field by field, as it is done for every message: an object made of the rest of another is dear. */
export const searchDocOf = (row: Tokenised<SearchRow>): SearchMessageDoc => {
  const { teamId, ordinal, seq, channelId, channelSeq, id, actor, at, text, folded, tokens } = row;
  const _id = ordinalKey(teamId, ordinal);
  const doc = { _id, teamId, ordinal, seq, channelId, channelSeq, id, actor, at, text, tokens };
  return folded === text ? doc : { ...doc, folded };
};
