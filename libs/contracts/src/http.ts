/** Bodies of the read API and the HTTP command entry. Every error is an `ErrorBody` of `errors.ts`. */

import type { ChannelKind, CommandName, Role } from './commands.ts';
import type { ChannelId, CommandId, MessageId, TeamId, UserId } from './ids.ts';

/** A message as the API and the client show it. `seq` decides which of two versions is newer. */
export type MessageView = {
  readonly id: MessageId;
  readonly channelId: ChannelId;
  readonly channelSeq: number;
  readonly seq: number;
  readonly actor: UserId;
  /** ms since the Unix epoch */
  readonly at: number;
  readonly text: string;
};

export type ChannelView = {
  readonly id: ChannelId;
  readonly kind: ChannelKind;
  /** Absent for direct channels; show the other members. */
  readonly name?: string;
  readonly memberIds?: readonly UserId[];
  /** The asker's role; absent for a public channel that the asker has not joined. */
  readonly role?: Role;
  readonly lastChannelSeq: number;
  /** The asker's read mark (0: nothing read) and the count of others' messages after it. */
  readonly readUpTo: number;
  readonly unreadCount: number;
  readonly seq: number;
};

/** On every read: the state holds all events of the partition up to `asOf`. */
export type ReadStamp = { readonly epoch: string; readonly asOf: number };

/**
 * A page of a list. `nextCursor`, given back as `cursor`, asks for the page after it; absent: this was the last. A cursor is
 * opaque and of this one list; CURSOR_INVALID (also after an upgrade of the server) means: begin again without it.
 */
export type ListPage = { readonly nextCursor?: string };

/** `GET /api/v1/channels?teamId=&limit=&cursor=&minSeq=&epoch=`; by id. */
export type ChannelsResponse = ReadStamp & ListPage & { readonly channels: readonly ChannelView[] };

/**
 * `GET /api/v1/channels/:id/messages?teamId=&before=|after=|around=|cursor=&limit=&minSeq=&epoch=`; ascending by channelSeq.
 * `previousCursor` is there while there are older ones, `nextCursor` while there are newer ones.
 */
export type MessagesResponse = ReadStamp &
  ListPage & {
    readonly messages: readonly MessageView[];
    readonly hasMoreBefore: boolean;
    readonly hasMoreAfter: boolean;
    readonly previousCursor?: string;
  };

/** `GET /api/v1/channels/:id/members?teamId=&limit=&cursor=&minSeq=&epoch=`; by user id. */
export type MembersResponse = ReadStamp &
  ListPage & {
    readonly members: readonly { readonly userId: UserId; readonly role: Role }[];
  };

/**
 * `GET /api/v1/search?teamId=&q=&channelId=&from=&before=&after=&limit=&cursor=&minSeq=&epoch=`: messages that the asker may see and
 * that hold every word of `q`; newest first. A page may be shorter than `limit` and still have a `nextCursor`: that far it was looked.
 */
export type SearchResponse = ReadStamp & {
  readonly hits: readonly {
    readonly message: MessageView;
    /** UTF-16 units of `text`, [start, end), ascending. */
    readonly highlights: readonly (readonly [start: number, end: number])[];
  }[];
  /** Absent: there is no more. */
  readonly nextCursor?: string;
};

/** `GET /api/v1/teams?limit=&cursor=` (with teamId: &minSeq=&epoch= in its partition); by id. */
export type TeamsResponse = ListPage & {
  readonly teams: readonly { readonly id: TeamId; readonly name: string; readonly role: Role }[];
};

/** `POST /api/v1/messages`: 201 new, 200 a repeat with the original. */
export type SendMessageRequest = {
  readonly teamId: TeamId;
  readonly messageId: MessageId;
  readonly channelId: ChannelId;
  readonly text: string;
};
export type SendMessageResponse = { readonly epoch: string; readonly message: MessageView };

/** `POST /api/v1/commands` {teamId, id, name, data}: any command but team.create. 201 new, 200 a repeat. */
export type CommandRequest = {
  readonly teamId: TeamId;
  readonly id: CommandId;
  readonly name: CommandName;
  readonly data: unknown;
};
export type CommandResponse = { readonly id: CommandId; readonly epoch: string; readonly seq: number };

/** 202: stored, outcome not known yet; send the same id again or follow the WebSocket. */
export type AcceptedResponse = { readonly status: 'accepted'; readonly id: CommandId };

/** `POST /api/v1/teams` {id, name}: 201 new, 200 a repeat. The id is the command id; the server mints the team id. */
export type CreateTeamResponse = { readonly teamId: TeamId; readonly epoch: string; readonly seq: number };

/** `POST /dev/token` {user}: development issuer only. */
export type DevTokenResponse = {
  readonly token: string;
  readonly userId: UserId;
  readonly expiresAtMs: number;
};

/** `GET /api/v1/client-config`: what the page needs to begin. */
export type ClientConfigResponse = {
  /** WebSocket bases, e.g. `ws://127.0.0.1:8081`; connect to `<base>/ws/<teamId>`. */
  readonly gateways: readonly string[];
  /** Users that `POST /dev/token` may be asked for; empty unless the environment says development. */
  readonly demoUsers: readonly UserId[];
};
