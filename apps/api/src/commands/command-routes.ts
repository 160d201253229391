/** The HTTP command entry: `POST /api/v1/messages`, `/commands`, `/teams`. 201 new, 200 a repeat with the original, 202 undecided. */

import { parseCommand } from '@chat/contracts/commands';
import type {
  AcceptedResponse,
  CommandResponse,
  CreateTeamResponse,
  SendMessageResponse,
} from '@chat/contracts/http';
import { type CommandId, type TeamId, type UserId, parseCommandId, partitionOf } from '@chat/contracts/ids';
import type { FastifyReply } from 'fastify';
import { userOf } from '../auth/authenticate.ts';
import type { App } from '../http/app-type.ts';
import { refuse } from '../http/refusals.ts';
import {
  acceptedAnswer,
  answers,
  commandAnswer,
  commandBody,
  createTeamAnswer,
  createTeamBody,
  sendMessageAnswer,
  sendMessageBody,
} from '../http/schemas.ts';
import type { TeamParser } from '../http/team-parser.ts';
import type { MessageGate } from '../limits/message-gate.ts';
import { setRateLimit } from '../limits/rate-headers.ts';
import type { CommandEntry, EntryResult } from './command-entry.ts';
import type { Epochs } from './epochs.ts';
import type { TeamIdMaker } from './team-id.ts';

export type CommandRoutesDeps = {
  readonly entry: CommandEntry;
  readonly epochs: Epochs;
  readonly makeTeamId: TeamIdMaker;
  readonly parseTeam: TeamParser;
  readonly messageGate: MessageGate;
};

type Persisted = Extract<EntryResult, { kind: 'persisted' }>;
type Input = {
  readonly teamId: TeamId | undefined;
  readonly id: unknown;
  readonly actor: UserId;
  readonly name: unknown;
  readonly data: unknown;
};

export const commandRoutes = (app: App, deps: CommandRoutesDeps): void => {
  const { entry, epochs, makeTeamId, parseTeam, messageGate } = deps;

  /** Parses, submits and answers; `show` makes the body of a persisted one. */
  const answer = async (
    reply: FastifyReply,
    { teamId, id: rawId, actor, name, data }: Input,
    show: (epoch: string, persisted: Persisted, id: CommandId) => object,
  ): Promise<FastifyReply> => {
    const id = parseCommandId(rawId);
    if (!id) return refuse(reply, { code: 'COMMAND_ID_INVALID' });
    const parsed = parseCommand(name, data);
    if (!parsed.ok) return refuse(reply, parsed);
    if (!teamId) return refuse(reply, { code: 'TEAM_NOT_FOUND' });
    const limit = parsed.wish.name === 'message.send' ? messageGate.take(actor, teamId, id) : undefined;
    if (limit) {
      setRateLimit(reply, limit.status, limit.waitMs);
      return refuse(reply, { code: 'RATE_LIMITED', retryAfterMs: limit.waitMs });
    }
    // Asked before anything is stored: afterwards there must be nothing left that can fail.
    const epoch = await epochs.of(partitionOf(teamId));
    const { dataJson, wish } = parsed;
    const result = await entry.submit({ teamId, id, actor, name: wish.name, dataJson });
    reply.header('cache-control', 'no-store');
    switch (result.kind) {
      case 'persisted':
        return reply.code(result.isNew ? 201 : 200).send(show(epoch, result, id));
      case 'accepted':
        return reply.code(202).send({ status: 'accepted', id } satisfies AcceptedResponse);
      case 'rejected':
      case 'refused':
        return refuse(reply, result);
    }
  };

  app.post(
    '/api/v1/messages',
    {
      schema: {
        summary: 'Send a message',
        tags: ['commands'],
        body: sendMessageBody,
        response: answers({ 200: sendMessageAnswer, 201: sendMessageAnswer, 202: acceptedAnswer }),
      },
    },
    (request, reply) => {
      const { teamId, messageId, channelId, text } = request.body;
      const input = {
        teamId: parseTeam(teamId),
        id: messageId,
        name: 'message.send',
        data: { channelId, text },
      };
      return answer(reply, { ...input, actor: userOf(request) }, (epoch, { event }): SendMessageResponse => {
        if (event.type !== 'message.sent' || !event.channelId || !event.channelSeq) {
          throw new Error(`the outcome of a message is event ${event.seq}, which is none`);
        }
        const { commandId: id, channelSeq, seq, actor, at, data } = event;
        return {
          epoch,
          message: { id, channelId: event.channelId, channelSeq, seq, actor, at, text: data.text },
        };
      });
    },
  );

  app.post(
    '/api/v1/commands',
    {
      schema: {
        summary: 'Any command but team.create',
        tags: ['commands'],
        body: commandBody,
        response: answers({ 200: commandAnswer, 201: commandAnswer, 202: acceptedAnswer }),
      },
    },
    (request, reply) => {
      const { teamId, id, name, data } = request.body;
      if (name === 'team.create') {
        return refuse(reply, {
          code: 'COMMAND_INVALID',
          message: 'Use POST /api/v1/teams: the server names the team.',
        });
      }
      const input = { teamId: parseTeam(teamId), id, name, data, actor: userOf(request) };
      return answer(reply, input, (epoch, { seq }, commandId): CommandResponse => ({
        id: commandId,
        epoch,
        seq,
      }));
    },
  );

  app.post(
    '/api/v1/teams',
    {
      schema: {
        summary: 'Create a team',
        tags: ['commands'],
        body: createTeamBody,
        response: answers({ 200: createTeamAnswer, 201: createTeamAnswer, 202: acceptedAnswer }),
      },
    },
    (request, reply) => {
      const actor = userOf(request);
      const id = parseCommandId(request.body.id);
      if (!id) return refuse(reply, { code: 'COMMAND_ID_INVALID' });
      const teamId = makeTeamId(actor, id);
      const input = { teamId, id, actor, name: 'team.create', data: { name: request.body.name } };
      return answer(reply, input, (epoch, { seq }): CreateTeamResponse => ({ teamId, epoch, seq }));
    },
  );
};
