/** Schemas of what servers send: for the AsyncAPI document and for tests; no server validates its own frames. */

import Type, { type TSchema } from 'typebox';
import { errorCatalogue } from './errors.ts';
import { type EventType, eventVersions } from './events.ts';
import type { ServerFrame } from './frames.ts';

const seq = Type.Integer({ minimum: 0 });
const id = Type.String({ description: 'UUID in lower case' });
const user = Type.String({ description: 'user id' });
const role = Type.Union([Type.Literal('owner'), Type.Literal('admin'), Type.Literal('member')]);
const kind = Type.Union([Type.Literal('public'), Type.Literal('private'), Type.Literal('direct')]);
const code = Type.String({ enum: Object.keys(errorCatalogue) });
const limitStatus = Type.Object({
  maxCount: Type.Integer({ minimum: 1 }),
  perMs: Type.Integer({ minimum: 1 }),
  remainingCount: Type.Integer({ minimum: 0 }),
});
const refusal = {
  code,
  message: Type.String(),
  retryable: Type.Boolean(),
  retryAfterMs: Type.Optional(Type.Integer({ minimum: 0 })),
};

export const eventDataSchemas = {
  'team.created': Type.Object({ name: Type.String() }),
  'team.member_added': Type.Object({ userId: user, role, teamName: Type.String() }),
  'team.member_removed': Type.Object({ userId: user }),
  'channel.created': Type.Object({ kind, name: Type.Optional(Type.String()) }),
  'member.added': Type.Object({ userId: user, role, kind, name: Type.Optional(Type.String()) }),
  'member.removed': Type.Object({
    userId: user,
    reason: Type.Union([Type.Literal('left'), Type.Literal('removed')]),
  }),
  'message.sent': Type.Object({ text: Type.String() }),
  'read.marked': Type.Object({ upTo: Type.Integer({ minimum: 1 }) }),
  'command.rejected': Type.Object({ name: Type.String(), code, message: Type.String() }),
} as const satisfies Record<EventType, TSchema>;

/** One element of an `events` frame. */
export const eventElementSchema = (type: EventType): TSchema =>
  Type.Object({
    seq: Type.Integer({ minimum: 1, description: 'row of event_log and sequence of EVT_<p>' }),
    type: Type.Literal(type),
    v: Type.Integer({ minimum: 1, maximum: eventVersions[type] }),
    at: Type.Integer({ description: 'ms since the Unix epoch; orders nothing' }),
    channelId: Type.Optional(id),
    channelSeq: Type.Optional(
      Type.Integer({ minimum: 1, description: 'gapless per channel; messages only' }),
    ),
    commandId: id,
    hash: Type.String({ description: 'hash of the command' }),
    actor: user,
    data: eventDataSchemas[type],
  });

export const serverFrameSchemas = {
  welcome: Type.Object({
    t: Type.Literal('welcome'),
    teamId: Type.String(),
    userId: user,
    sessionId: Type.String(),
    epoch: Type.String(),
    head: seq,
    resume: Type.Union([Type.Literal('fresh'), Type.Literal('replayed'), Type.Literal('snapshot_required')]),
    reason: Type.Optional(
      Type.Union([
        Type.Literal('epoch_changed'),
        Type.Literal('too_old'),
        Type.Literal('too_many'),
        Type.Literal('unknown_future'),
      ]),
    ),
    heartbeatMs: Type.Integer(),
    limits: Type.Object({
      frameMaxBytes: Type.Integer(),
      textMaxBytes: Type.Integer(),
      inFlightMaxCount: Type.Integer(),
      messages: Type.Optional(
        Type.Object(
          { burst: limitStatus, sustained: limitStatus },
          { description: 'sends of the user as they stood at the welcome; a send needs a token of both' },
        ),
      ),
    }),
  }),
  events: Type.Object({
    t: Type.Literal('events'),
    events: Type.Array(Type.Union((Object.keys(eventVersions) as EventType[]).map(eventElementSchema))),
  }),
  accepted: Type.Object({ t: Type.Literal('accepted'), id }),
  persisted: Type.Object({
    t: Type.Literal('persisted'),
    id,
    seq,
    duplicate: Type.Optional(Type.Literal(true)),
  }),
  rejected: Type.Object({
    t: Type.Literal('rejected'),
    id: Type.String(),
    seq: Type.Optional(seq),
    ...refusal,
  }),
  tick: Type.Object({ t: Type.Literal('tick'), seq }),
  typing: Type.Object({ t: Type.Literal('typing'), channelId: id, userId: user }),
  presence: Type.Object({
    t: Type.Literal('presence'),
    userId: user,
    state: Type.Union([Type.Literal('active'), Type.Literal('away'), Type.Literal('offline')]),
  }),
  draining: Type.Object({ t: Type.Literal('draining'), reconnectAfterMs: Type.Integer({ minimum: 0 }) }),
  error: Type.Object({ t: Type.Literal('error'), ...refusal }),
  pong: Type.Object({ t: Type.Literal('pong'), id: Type.Optional(Type.String()) }),
} as const satisfies Record<ServerFrame['t'], TSchema>;
