/** `POST /dev/token`: tokens of the development issuer. The route does not exist unless the environment says development or test. */

import type { DevTokenResponse } from '@chat/contracts/http';
import { parseUserId } from '@chat/contracts/ids';
import type { DevIssuer } from '@chat/platform/auth/dev-issuer';
import type { Clock } from '@chat/platform/clock';
import { refuse } from '../http/refusals.ts';
import { answers, devTokenAnswer, devTokenBody } from '../http/schemas.ts';
import type { App } from '../http/app-type.ts';

const TTL_S = 3_600;

export const devTokenRoute = (app: App, issuer: DevIssuer, clock: Clock): void => {
  app.post(
    '/dev/token',
    {
      schema: {
        summary: 'A token of the development issuer',
        tags: ['development'],
        body: devTokenBody,
        response: answers({ 200: devTokenAnswer }),
      },
    },
    async (request, reply) => {
      const userId = parseUserId(request.body.user);
      if (!userId) return refuse(reply, { code: 'REQUEST_INVALID', message: 'body/user: is not a user id' });
      const expiresAtMs = (Math.floor(clock.nowMs() / 1_000) + TTL_S) * 1_000;
      const token = await issuer.mint(userId, { ttlSeconds: TTL_S });
      const answer: DevTokenResponse = { token, userId, expiresAtMs };
      return reply.header('cache-control', 'no-store').send(answer);
    },
  );
};
