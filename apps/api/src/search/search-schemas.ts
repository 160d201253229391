/** TypeBox schemas of search (the types are in @chat/contracts/http). */

import {
  SEARCH_PAGE_DEFAULT_COUNT,
  SEARCH_PAGE_MAX_COUNT,
  SEARCH_QUERY_MAX_LENGTH,
  SEARCH_TERMS_MAX_COUNT,
} from '@chat/contracts/limits';
import Type from 'typebox';
import { listQuery, membersAnswer, messageSchema } from '../http/schemas.ts';

const { teamId, cursor, minSeq, epoch } = listQuery.properties;
const atMs = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description }));

export const searchQuery = Type.Object(
  {
    teamId,
    // How long it may be is a refusal with a code of its own.
    q: Type.String({
      description:
        `words that a message must all hold, in any order, parts of words too; "…" holds a phrase together; ` +
        `at most ${SEARCH_QUERY_MAX_LENGTH} characters and ${SEARCH_TERMS_MAX_COUNT} words`,
    }),
    channelId: Type.Optional(Type.String({ maxLength: 64, description: 'only in this channel' })),
    from: Type.Optional(Type.String({ maxLength: 64, description: 'only of this user' })),
    before: atMs('only sent before this time (ms since the Unix epoch)'),
    after: atMs('only sent at this time or later (ms since the Unix epoch)'),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: SEARCH_PAGE_MAX_COUNT, default: SEARCH_PAGE_DEFAULT_COUNT }),
    ),
    cursor,
    minSeq,
    epoch,
  },
  { additionalProperties: false },
);

const range = Type.Tuple([Type.Integer({ minimum: 0 }), Type.Integer({ minimum: 0 })]);

export const searchAnswer = Type.Object({
  epoch: membersAnswer.properties.epoch,
  asOf: membersAnswer.properties.asOf,
  hits: Type.Array(
    Type.Object({
      message: messageSchema,
      highlights: Type.Array(range, { description: 'UTF-16 units of text, [start, end), ascending' }),
    }),
  ),
  nextCursor: membersAnswer.properties.nextCursor,
});
