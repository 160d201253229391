/** OpenAPI from the routes' schemas: `/openapi.json`, and a page to try them at `/docs`. */

import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import type { App } from './app-type.ts';

export const DOCS_PREFIX = '/docs';

/** Before the routes: it collects them as they are made. */
export const collectOpenApi = async (app: App, version: string): Promise<void> => {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'RealTimeChat api',
        version,
        license: { name: 'Apache-2.0' },
        description:
          'Reads and the HTTP command entry. Every refusal is an error body with a code of the catalogue (docs/errors.md). ' +
          'Requests of a user are limited: the RateLimit-* headers tell how the limit stands, Retry-After when to come again. ' +
          'Lists come in pages; cursors are opaque, and of one list.',
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  });
};

export const openApiRoutes = async (app: App): Promise<void> => {
  app.get('/openapi.json', { schema: { hide: true } }, (_, reply) => reply.send(app.swagger()));
  await app.register(fastifySwaggerUi, { routePrefix: DOCS_PREFIX, staticCSP: true });
};
