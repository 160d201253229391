/** `GET /api/v1/search`: messages that the asker may see, newest first. */

import { partitionOf } from '@chat/contracts/ids';
import type { ReadModel } from '@chat/read-model/port';
import type { SearchModel } from '@chat/read-model/search/port';
import { userOf } from '../auth/authenticate.ts';
import type { ReadPosition } from '../history/read-position.ts';
import type { App } from '../http/app-type.ts';
import { refuse } from '../http/refusals.ts';
import { answers } from '../http/schemas.ts';
import type { TeamParser } from '../http/team-parser.ts';
import { searchMessages } from './search-messages.ts';
import { parseSearch } from './search-request.ts';
import { searchAnswer, searchQuery } from './search-schemas.ts';

export type SearchRouteDeps = {
  readonly readModel: ReadModel;
  readonly search: SearchModel;
  /** Of the core, and of search: each is waited for. */
  readonly position: ReadPosition;
  readonly searchPosition: ReadPosition;
  readonly parseTeam: TeamParser;
};

const SEARCH_BEHIND_RETRY_AFTER_MS = 1_000;

export const searchRoute = (app: App, deps: SearchRouteDeps): void => {
  const { position, searchPosition, parseTeam } = deps;
  const schema = {
    summary: 'Messages with all of these words, newest first',
    description:
      'Width, case and composition of characters make no difference. A page may be shorter than limit and still have a ' +
      'nextCursor: that far was looked in the time a request has.',
    tags: ['reads'],
    querystring: searchQuery,
    response: answers({ 200: searchAnswer }),
  };
  app.get('/api/v1/search', { schema }, async (request, reply) => {
    const { query } = request;
    const teamId = parseTeam(query.teamId);
    if (!teamId) return refuse(reply, { code: 'TEAM_NOT_FOUND' });
    const search = parseSearch(teamId, query);
    if ('code' in search) return refuse(reply, search);
    const partition = partitionOf(teamId);
    const refusal = await searchPosition.reach(partition, query);
    if (refusal) return refuse(reply, refusal);
    const result = await position.readAt(partition, query, () =>
      searchMessages(deps, userOf(request), search),
    );
    if ('refusal' in result) return refuse(reply, result.refusal);
    const { answer } = result;
    switch (answer.kind) {
      case 'team_not_found':
        return refuse(reply, { code: 'TEAM_NOT_FOUND' });
      case 'channel_not_found':
        return refuse(reply, { code: 'CHANNEL_NOT_FOUND' });
      case 'search_behind':
        return refuse(reply, { code: 'READ_MODEL_BEHIND', retryAfterMs: SEARCH_BEHIND_RETRY_AFTER_MS });
      case 'found': {
        const { kind: _, ...found } = answer;
        return reply.header('cache-control', 'no-store').send(found);
      }
    }
  });
};
