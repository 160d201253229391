/**
 * Rows of search as parameters of a statement. The tokens of all rows come as one array with the place of each row's within it: arrays
 * of arrays would all have to be of one length, and digits cost as much as the rest of a row.
 */

import { int4Array, plainArray, textArray, tokenArray } from '../../postgres/array-literal.ts';
import type { SearchRow, Tokenised } from '../rows.ts';

export const rowColumns =
  'team_id, ordinal, seq, channel_id, channel_seq, message_id, actor, at, text, folded, tokens';

/** `rowValues` from parameter `$first` on as rows of `rowColumns`; `from`: another relation that they hang on. */
export const rowsSql = (first: number, from = ''): string => {
  const $ = (at: number): string => `$${first + at}`;
  return `SELECT u.team_id, u.ordinal, u.seq, u.channel_id, u.channel_seq, u.message_id, u.actor, u.at, u.text, u.folded,
      (${$(12)}::int4[])[u.token_from : u.token_to]
    FROM ${from} unnest(${$(0)}::text[], ${$(1)}::bigint[], ${$(2)}::bigint[], ${$(3)}::uuid[], ${$(4)}::bigint[],
      ${$(5)}::uuid[], ${$(6)}::text[], ${$(7)}::bigint[], ${$(8)}::text[], ${$(9)}::text[], ${$(10)}::int4[], ${$(11)}::int4[])
      AS u (team_id, ordinal, seq, channel_id, channel_seq, message_id, actor, at, text, folded, token_from, token_to)`;
};

export const rowValues = (rows: readonly Tokenised<SearchRow>[]): readonly (string | Buffer)[] => {
  let tokenCount = 0;
  const tokensTo = rows.map(({ tokens }) => (tokenCount += tokens.length));
  return [
    tokenArray(rows.map((row) => row.teamId)),
    plainArray(rows.map((row) => row.ordinal)),
    plainArray(rows.map((row) => row.seq)),
    plainArray(rows.map((row) => row.channelId)),
    plainArray(rows.map((row) => row.channelSeq)),
    plainArray(rows.map((row) => row.id)),
    tokenArray(rows.map((row) => row.actor)),
    plainArray(rows.map((row) => row.at)),
    textArray(rows.map((row) => row.text)),
    textArray(rows.map((row) => (row.folded === row.text ? undefined : row.folded))),
    plainArray(rows.map(({ tokens }, at) => (tokensTo[at] ?? 0) - tokens.length + 1)),
    plainArray(tokensTo),
    int4Array(rows.map(({ tokens }) => tokens)),
  ];
};
