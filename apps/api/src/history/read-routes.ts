/** The reads: teams, channels, messages, members. Membership is part of every query of the read model (I3). */

import type {
  ChannelsResponse,
  MembersResponse,
  MessagesResponse,
  ReadStamp,
  TeamsResponse,
} from '@chat/contracts/http';
import { type ChannelId, type TeamId, parseChannelId, partitionOf } from '@chat/contracts/ids';
import type { ReadModel, Refusal as ReadRefusal } from '@chat/read-model/port';
import type { FastifyReply } from 'fastify';
import { userOf } from '../auth/authenticate.ts';
import type { App } from '../http/app-type.ts';
import { type Refusal, refuse } from '../http/refusals.ts';
import {
  answers,
  channelParams,
  channelsAnswer,
  listQuery,
  membersAnswer,
  messagesAnswer,
  messagesQuery,
  teamsAnswer,
  teamsQuery,
} from '../http/schemas.ts';
import type { TeamParser } from '../http/team-parser.ts';
import { channelList, memberList, messageCursors, messagePageRequest, teamList } from './pages.ts';
import type { Point, ReadPosition } from './read-position.ts';

export type ReadRoutesDeps = {
  readonly readModel: ReadModel;
  readonly position: ReadPosition;
  readonly parseTeam: TeamParser;
};

const teamNotFound: Refusal = { code: 'TEAM_NOT_FOUND' };
const channelNotFound: Refusal = { code: 'CHANNEL_NOT_FOUND' };

/** What is no UUID names no channel; asked like any other, so that the answer tells a non-member of the team no more. */
const noChannel = '00000000-0000-0000-0000-000000000000' as ChannelId;

const sendAnswer = (reply: FastifyReply, answer: object): FastifyReply =>
  reply.header('cache-control', 'no-store').send(answer);

export const readRoutes = (app: App, deps: ReadRoutesDeps): void => {
  teamsRoute(app, deps);
  channelsRoute(app, deps);
  messagesRoute(app, deps);
  membersRoute(app, deps);
};

type Found = ReadStamp & { readonly kind: 'found' };
type Question<F extends Found> = {
  readonly teamId: TeamId;
  readonly point: Point;
  readonly ask: () => Promise<F | ReadRefusal>;
  /** The api's answer. */
  readonly show: (found: F) => object;
};

/** Asks once the read model has what the asker has seen. */
const answerAt = async <F extends Found>(
  reply: FastifyReply,
  position: ReadPosition,
  { teamId, point, ask, show }: Question<F>,
): Promise<FastifyReply> => {
  const result = await position.readAt(partitionOf(teamId), point, ask);
  if ('refusal' in result) return refuse(reply, result.refusal);
  const { answer } = result;
  if (answer.kind === 'team_not_found') return refuse(reply, teamNotFound);
  if (answer.kind === 'channel_not_found') return refuse(reply, channelNotFound);
  return sendAnswer(reply, show(answer));
};

const teamsRoute = (app: App, { readModel, position, parseTeam }: ReadRoutesDeps): void => {
  const schema = {
    summary: "The user's teams, by id",
    description: 'With teamId: waits for minSeq in the partition of that team.',
    tags: ['reads'],
    querystring: teamsQuery,
    response: answers({ 200: teamsAnswer }),
  };
  app.get('/api/v1/teams', { schema }, async (request, reply) => {
    const { teamId: rawTeamId, ...query } = request.query;
    const list = teamList(userOf(request));
    const page = list.request(query);
    if ('code' in page) return refuse(reply, page);
    if (rawTeamId !== undefined) {
      const teamId = parseTeam(rawTeamId);
      const refusal = teamId ? await position.reach(partitionOf(teamId), query) : teamNotFound;
      if (refusal) return refuse(reply, refusal);
    }
    const { teams, hasMore } = await readModel.teamsOf(userOf(request), page);
    const answer: TeamsResponse = { teams, ...list.next(hasMore, teams.at(-1)?.id) };
    return sendAnswer(reply, answer);
  });
};

const channelsRoute = (app: App, { readModel, position, parseTeam }: ReadRoutesDeps): void => {
  const schema = {
    summary: "The user's channels with unread counts, and public ones not joined (without role), by id",
    tags: ['reads'],
    querystring: listQuery,
    response: answers({ 200: channelsAnswer }),
  };
  app.get('/api/v1/channels', { schema }, async (request, reply) => {
    const { query: point } = request;
    const teamId = parseTeam(point.teamId);
    if (!teamId) return refuse(reply, teamNotFound);
    const list = channelList(teamId);
    const page = list.request(point);
    if ('code' in page) return refuse(reply, page);
    return answerAt(reply, position, {
      teamId,
      point,
      ask: () => readModel.channels(teamId, userOf(request), page),
      show: ({ epoch, asOf, channels, hasMore }): ChannelsResponse => ({
        epoch,
        asOf,
        channels,
        ...list.next(hasMore, channels.at(-1)?.id),
      }),
    });
  });
};

const messagesRoute = (app: App, { readModel, position, parseTeam }: ReadRoutesDeps): void => {
  const schema = {
    summary: 'History of a channel, by channelSeq, ascending',
    description: 'At most one of before, after, around, cursor; without any the newest page.',
    tags: ['reads'],
    params: channelParams,
    querystring: messagesQuery,
    response: answers({ 200: messagesAnswer }),
  };
  app.get('/api/v1/channels/:id/messages', { schema }, async (request, reply) => {
    const { query: point } = request;
    const teamId = parseTeam(point.teamId);
    if (!teamId) return refuse(reply, teamNotFound);
    const channelId = parseChannelId(request.params.id) ?? noChannel;
    const page = messagePageRequest(teamId, channelId, point);
    if ('code' in page) return refuse(reply, page);
    return answerAt(reply, position, {
      teamId,
      point,
      ask: () => readModel.messages(teamId, channelId, userOf(request), page),
      show: ({ kind: _, ...found }): MessagesResponse => ({
        ...found,
        ...messageCursors(teamId, channelId, page, found),
      }),
    });
  });
};

const membersRoute = (app: App, { readModel, position, parseTeam }: ReadRoutesDeps): void => {
  const schema = {
    summary: 'Members of a channel, by user id',
    tags: ['reads'],
    params: channelParams,
    querystring: listQuery,
    response: answers({ 200: membersAnswer }),
  };
  app.get('/api/v1/channels/:id/members', { schema }, async (request, reply) => {
    const { query: point } = request;
    const teamId = parseTeam(point.teamId);
    if (!teamId) return refuse(reply, teamNotFound);
    const channelId = parseChannelId(request.params.id) ?? noChannel;
    const list = memberList(teamId, channelId);
    const page = list.request(point);
    if ('code' in page) return refuse(reply, page);
    return answerAt(reply, position, {
      teamId,
      point,
      ask: () => readModel.members(teamId, channelId, userOf(request), page),
      show: ({ epoch, asOf, members, hasMore }): MembersResponse => ({
        epoch,
        asOf,
        members,
        ...list.next(hasMore, members.at(-1)?.userId),
      }),
    });
  });
};
