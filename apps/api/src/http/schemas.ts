/** TypeBox schemas of what the api takes and answers (the types are in @chat/contracts/http). */

import { errorCatalogue } from '@chat/contracts/errors';
import {
  LIST_PAGE_DEFAULT_COUNT,
  LIST_PAGE_MAX_COUNT,
  PAGE_DEFAULT_COUNT,
  PAGE_MAX_COUNT,
} from '@chat/contracts/limits';
import { CURSOR_MAX_LENGTH } from '@chat/platform/paging/cursor';
import Type, { type TSchema } from 'typebox';

const closed = { additionalProperties: false } as const;
const seq = (description: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description });
const id = Type.String({ maxLength: 64, description: 'UUID' });
const teamId = Type.String({ maxLength: 64, description: 'team id' });
const user = Type.String({ description: 'user id' });
const role = Type.Union([Type.Literal('owner'), Type.Literal('admin'), Type.Literal('member')]);

export const errorSchema = Type.Object({
  code: Type.String({ enum: Object.keys(errorCatalogue) }),
  message: Type.String(),
  retryable: Type.Boolean(),
  retryAfterMs: Type.Optional(Type.Integer({ minimum: 0 })),
  lagCount: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'of READ_MODEL_BEHIND: events up to minSeq that the read model misses',
    }),
  ),
});

/** The answer by status; every refusal is an ErrorBody. For the document only: types of answers are the contracts'. */
export const answers = (byStatus: Readonly<Record<number, TSchema>>): Record<string, unknown> => ({
  ...byStatus,
  '4xx': errorSchema,
  '5xx': errorSchema,
});

const point = {
  minSeq: Type.Optional(seq('answer with a state that holds all events up to this one (read your writes)')),
  epoch: Type.Optional(
    Type.String({ minLength: 1, maxLength: 64, description: 'the epoch minSeq belongs to' }),
  ),
};

/** A longer one is CURSOR_INVALID, like any other that is not ours; the schema only tells of the bound. */
const cursor = Type.Optional(
  Type.String({ description: `a cursor of the last answer, at most ${CURSOR_MAX_LENGTH} characters` }),
);
const nextCursor = Type.Optional(
  Type.String({ description: 'asks for the page after this; absent at the end' }),
);
const listPage = {
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: LIST_PAGE_MAX_COUNT, default: LIST_PAGE_DEFAULT_COUNT }),
  ),
  cursor,
};

export const listQuery = Type.Object({ teamId, ...listPage, ...point }, closed);
export const teamsQuery = Type.Object({ teamId: Type.Optional(teamId), ...listPage, ...point }, closed);
export const channelParams = Type.Object({ id });
export const messagesQuery = Type.Object(
  {
    teamId,
    before: Type.Optional(seq('messages with a smaller channelSeq')),
    after: Type.Optional(seq('messages with a greater channelSeq')),
    around: Type.Optional(seq('messages on both sides of this channelSeq')),
    cursor,
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX_COUNT, default: PAGE_DEFAULT_COUNT })),
    ...point,
  },
  closed,
);

const stamp = {
  epoch: Type.String(),
  asOf: seq('all events of the partition up to this one are in the answer'),
};

export const messageSchema = Type.Object({
  id,
  channelId: id,
  channelSeq: seq('place in the channel, gapless'),
  seq: seq('event number in the partition'),
  actor: user,
  at: Type.Integer({ description: 'ms since the Unix epoch; orders nothing' }),
  text: Type.String(),
});
export const channelSchema = Type.Object({
  id,
  kind: Type.Union([Type.Literal('public'), Type.Literal('private'), Type.Literal('direct')]),
  name: Type.Optional(Type.String()),
  memberIds: Type.Optional(Type.Array(user)),
  role: Type.Optional(role),
  lastChannelSeq: seq('channelSeq of the newest message'),
  readUpTo: seq("the asker's read mark"),
  unreadCount: Type.Integer({ minimum: 0 }),
  seq: seq('newest event that shows in this entity'),
});
export const channelsAnswer = Type.Object({ ...stamp, channels: Type.Array(channelSchema), nextCursor });
export const messagesAnswer = Type.Object({
  ...stamp,
  messages: Type.Array(messageSchema),
  hasMoreBefore: Type.Boolean(),
  hasMoreAfter: Type.Boolean(),
  previousCursor: Type.Optional(
    Type.String({ description: 'asks for the page of older messages; absent at the beginning' }),
  ),
  nextCursor,
});
export const membersAnswer = Type.Object({
  ...stamp,
  members: Type.Array(Type.Object({ userId: user, role })),
  nextCursor,
});
export const teamsAnswer = Type.Object({
  teams: Type.Array(Type.Object({ id: teamId, name: Type.String(), role })),
  nextCursor,
});

export const sendMessageBody = Type.Object(
  { teamId, messageId: id, channelId: id, text: Type.String() },
  closed,
);
export const sendMessageAnswer = Type.Object({ epoch: Type.String(), message: messageSchema });
export const commandBody = Type.Object(
  { teamId, id, name: Type.String({ maxLength: 64 }), data: Type.Unknown() },
  closed,
);
export const commandAnswer = Type.Object({
  id,
  epoch: Type.String(),
  seq: seq('first event of the command'),
});
export const createTeamBody = Type.Object({ id, name: Type.String() }, closed);
export const createTeamAnswer = Type.Object({
  teamId,
  epoch: Type.String(),
  seq: seq('first event of the command'),
});
export const acceptedAnswer = Type.Object({ status: Type.Literal('accepted'), id });

export const devTokenBody = Type.Object({ user: Type.String({ maxLength: 64 }) }, closed);
export const devTokenAnswer = Type.Object({
  token: Type.String(),
  userId: user,
  expiresAtMs: Type.Integer(),
});
export const clientConfigAnswer = Type.Object({
  gateways: Type.Array(Type.String()),
  demoUsers: Type.Array(user),
});
