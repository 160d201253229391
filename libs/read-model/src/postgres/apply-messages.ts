/**
 * The usual batch — messages and read marks, no membership, no new channel — as one statement, hence one round trip and
 * one transaction. It moves the checkpoint only from exactly where the batch begins; everything else in it hangs on that
 * row, so that nothing is written when the checkpoint stands elsewhere (another projector was faster, the store was
 * set back, another epoch): then `applyBatch` finds out why. Like there, the commit does not wait for the disk.
 *
 * Messages beyond the checkpoint are not in the store (they come and go with it), so they are inserted without a guard by
 * `seq`, which costs the server a quarter less. Should one stand there all the same (a store put together from backups of
 * different times), the statement fails as a whole, and `applyBatch` writes the batch with the guards.
 *
 * The heads of channels are a function of the log: those after event n, kept from the last batch, are the store's as
 * long as its checkpoint is n and of the same `turn` (a repair of the store raises it). The statement checks just that.
 */

import { uniqueViolationOf } from '@chat/platform/postgres/sqlstate';
import { type ChannelHead, type ChannelKey, type Changes, channelKeyOf } from '../fold.ts';
import { plainArray, textArray, tokenArray } from './array-literal.ts';
import type { Client } from './upsert.ts';
import type { EventBatch } from '../port.ts';

/** Channels remembered for a partition; when full all are forgotten, and read again as they are needed. */
const HEADS_MAX_COUNT = 10_000;

type Found = {
  readonly heads: ChannelHead[];
  readonly missing: readonly ChannelKey[];
  /** Of what is known; undefined: nothing is known as of this checkpoint. */
  readonly turn: number | undefined;
};

/** Heads of one partition's channels as of a checkpoint and its turn. */
export class KnownHeads {
  #epoch = '';
  #seq = -1;
  #turn = -1;
  readonly #byChannel = new Map<string, ChannelHead>();

  /** Those known as of (epoch, seq), and the keys of the others. */
  find(epoch: string, seq: number, keys: readonly ChannelKey[]): Found {
    if (epoch !== this.#epoch || seq !== this.#seq) return { heads: [], missing: keys, turn: undefined };
    const heads: ChannelHead[] = [];
    const missing: ChannelKey[] = [];
    for (const key of keys) {
      const head = this.#byChannel.get(channelKeyOf(key));
      if (head) heads.push(head);
      else missing.push(key);
    }
    return { heads, missing, turn: this.#turn };
  }

  /** The checkpoint moved from `fromSeq` to `seq`; these are the heads that are known besides those that were not touched. */
  advance(
    { epoch, seq, turn }: { readonly epoch: string; readonly seq: number; readonly turn: number },
    fromSeq: number,
    heads: Iterable<ChannelHead>,
  ): void {
    if (epoch !== this.#epoch || fromSeq !== this.#seq || turn !== this.#turn) this.#byChannel.clear();
    this.#epoch = epoch;
    this.#seq = seq;
    this.#turn = turn;
    for (const head of heads) {
      if (this.#byChannel.size >= HEADS_MAX_COUNT) this.#byChannel.clear();
      this.#byChannel.set(channelKeyOf(head), head);
    }
  }
}

const statement = (schema: string): string => `
WITH moved AS (
  UPDATE ${schema}.checkpoint SET seq = $4, digest = $5, at = clock_timestamp()
  WHERE p = $1 AND epoch = $2 AND seq = $3 AND ($25::bigint IS NULL OR turn = $25)
  RETURNING set_config('synchronous_commit', 'off', true), turn
), messages AS (
  INSERT INTO ${schema}.message
    (team_id, channel_id, channel_seq, counted_seq, seq, message_id, actor, at, text)
  SELECT u.* FROM moved, unnest($6::text[], $7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[], $11::uuid[],
    $12::text[], $13::bigint[], $14::text[]) AS u
), marks AS (
  INSERT INTO ${schema}.read_mark AS t (team_id, user_id, channel_id, up_to, seq)
  SELECT u.* FROM moved, unnest($15::text[], $16::text[], $17::uuid[], $18::bigint[], $19::bigint[]) AS u
  ON CONFLICT (team_id, user_id, channel_id) DO UPDATE SET up_to = excluded.up_to, seq = excluded.seq
    WHERE t.seq < excluded.seq
), heads AS (
  UPDATE ${schema}.channel t
  SET last_channel_seq = u.last_channel_seq, counted_seq = u.counted_seq, head_seq = u.seq
  FROM moved, unnest($20::text[], $21::uuid[], $22::bigint[], $23::bigint[], $24::bigint[])
    AS u (team_id, channel_id, last_channel_seq, counted_seq, seq)
  WHERE t.team_id = u.team_id AND t.channel_id = u.channel_id AND t.head_seq < u.seq
)
SELECT turn::float8 FROM moved`;

/**
 * `turn`: of the checkpoint when the heads were read; undefined: there were none to read. Answers the turn; undefined: the
 * checkpoint is not where the batch begins, or not of that turn; nothing was changed.
 */
export const applyMessages = async (
  client: Client,
  schema: string,
  { partition, epoch, afterSeq, upTo, digest }: EventBatch,
  { messages, readMarks, heads }: Changes,
  turn: number | undefined,
): Promise<number | undefined> => {
  const marks = [...readMarks.values()];
  const tops = [...heads.values()];
  const { rows } = await client
    .query<{ turn: number }>({
      name: `${schema}-apply-messages`,
      text: statement(schema),
      values: [
        partition,
        epoch,
        afterSeq,
        upTo,
        digest,
        tokenArray(messages.map((row) => row.teamId)),
        plainArray(messages.map((row) => row.channelId)),
        plainArray(messages.map((row) => row.channelSeq)),
        plainArray(messages.map((row) => row.countedSeq)),
        plainArray(messages.map((row) => row.seq)),
        plainArray(messages.map((row) => row.id)),
        tokenArray(messages.map((row) => row.actor)),
        plainArray(messages.map((row) => row.at)),
        textArray(messages.map((row) => row.text)),
        tokenArray(marks.map((row) => row.teamId)),
        tokenArray(marks.map((row) => row.userId)),
        plainArray(marks.map((row) => row.channelId)),
        plainArray(marks.map((row) => row.upTo)),
        plainArray(marks.map((row) => row.seq)),
        tokenArray(tops.map((row) => row.teamId)),
        plainArray(tops.map((row) => row.channelId)),
        plainArray(tops.map((row) => row.lastChannelSeq)),
        plainArray(tops.map((row) => row.countedSeq)),
        plainArray(tops.map((row) => row.seq)),
        turn,
      ],
    })
    .catch(nothingIfDoubled);
  return rows[0]?.turn;
};

const nothingIfDoubled = (error: unknown): { readonly rows: readonly never[]; readonly rowCount: number } => {
  if (uniqueViolationOf(error) === undefined) throw error;
  return { rows: [], rowCount: 0 };
};
