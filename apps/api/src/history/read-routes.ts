/** The reads: teams, channels, messages, members. Membership is part of every query of the read model (I3). */

import { PAGE_DEFAULT_COUNT } from '@chat/contracts/limits';
import type {
  ChannelsResponse,
  MembersResponse,
  MessagesResponse,
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
  membersAnswer,
  messagesAnswer,
  messagesQuery,
  teamQuery,
  teamsAnswer,
  teamsQuery,
} from '../http/schemas.ts';
import type { TeamParser } from '../http/team-parser.ts';
import type { Point, ReadPosition } from './read-position.ts';

export type ReadRoutesDeps = {
  readonly readModel: ReadModel;
  readonly position: ReadPosition;
  readonly parseTeam: TeamParser;
};

const teamNotFound: Refusal = { code: 'TEAM_NOT_FOUND' };
const channelNotFound: Refusal = { code: 'CHANNEL_NOT_FOUND' };

/** The read model's answer as the api's: without `kind`, or a refusal. */
const send = <T extends { readonly kind: 'found' }>(
  reply: FastifyReply,
  found: T | ReadRefusal,
): FastifyReply => {
  switch (found.kind) {
    case 'team_not_found':
      return refuse(reply, teamNotFound);
    case 'channel_not_found':
      return refuse(reply, channelNotFound);
    default: {
      const { kind: _, ...answer } = found as T;
      return reply.header('cache-control', 'no-store').send(answer);
    }
  }
};

export const readRoutes = (app: App, { readModel, position, parseTeam }: ReadRoutesDeps): void => {
  /** The team of a query, once the read model has what the asker has seen; or the refusal. */
  const teamAt = async (query: Point & { readonly teamId: string }): Promise<TeamId | Refusal> => {
    const teamId = parseTeam(query.teamId);
    if (!teamId) return teamNotFound;
    return (await position.reach(partitionOf(teamId), query)) ?? teamId;
  };

  app.get(
    '/api/v1/teams',
    {
      schema: {
        summary: "The user's teams",
        description: 'With teamId: waits for minSeq in the partition of that team.',
        tags: ['reads'],
        querystring: teamsQuery,
        response: answers({ 200: teamsAnswer }),
      },
    },
    async (request, reply) => {
      const { teamId, ...point } = request.query;
      if (teamId !== undefined) {
        const team = await teamAt({ teamId, ...point });
        if (typeof team !== 'string') return refuse(reply, team);
      }
      const teams = await readModel.teamsOf(userOf(request));
      return reply.header('cache-control', 'no-store').send({ teams } satisfies TeamsResponse);
    },
  );

  app.get(
    '/api/v1/channels',
    {
      schema: {
        summary: "The user's channels with unread counts, and public ones not joined (without role)",
        tags: ['reads'],
        querystring: teamQuery,
        response: answers({ 200: channelsAnswer }),
      },
    },
    async (request, reply) => {
      const team = await teamAt(request.query);
      if (typeof team !== 'string') return refuse(reply, team);
      return send<ChannelsResponse & { kind: 'found' }>(
        reply,
        await readModel.channels(team, userOf(request)),
      );
    },
  );

  app.get(
    '/api/v1/channels/:id/messages',
    {
      schema: {
        summary: 'History of a channel, by channelSeq, ascending',
        description: 'At most one of before, after, around; without any the newest page.',
        tags: ['reads'],
        params: channelParams,
        querystring: messagesQuery,
        response: answers({ 200: messagesAnswer }),
      },
    },
    async (request, reply) => {
      const { before, after, around, limit: limitCount = PAGE_DEFAULT_COUNT } = request.query;
      const given = Object.entries({ before, after, around }).filter(([, value]) => value !== undefined);
      if (given.length > 1) {
        const message = 'querystring: at most one of before, after, around';
        return refuse(reply, { code: 'REQUEST_INVALID', message });
      }
      const team = await teamAt(request.query);
      if (typeof team !== 'string') return refuse(reply, team);
      const channelId = parseChannelId(request.params.id) ?? noChannel;
      const page = { limitCount, ...Object.fromEntries(given) };
      const found = await readModel.messages(team, channelId, userOf(request), page);
      return send<MessagesResponse & { kind: 'found' }>(reply, found);
    },
  );

  app.get(
    '/api/v1/channels/:id/members',
    {
      schema: {
        summary: 'Members of a channel',
        tags: ['reads'],
        params: channelParams,
        querystring: teamQuery,
        response: answers({ 200: membersAnswer }),
      },
    },
    async (request, reply) => {
      const team = await teamAt(request.query);
      if (typeof team !== 'string') return refuse(reply, team);
      const channelId = parseChannelId(request.params.id) ?? noChannel;
      const found = await readModel.members(team, channelId, userOf(request));
      return send<MembersResponse & { kind: 'found' }>(reply, found);
    },
  );
};

/** What is no UUID names no channel; asked like any other, so that the answer tells a non-member of the team no more. */
const noChannel = '00000000-0000-0000-0000-000000000000' as ChannelId;
