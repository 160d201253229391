/** What a browser needs: the built page, its configuration, and headers that let it talk to the gateways and nobody else. */

import { resolve } from 'node:path';
import fastifyCors from '@fastify/cors';
import fastifyHelmet from '@fastify/helmet';
import fastifyStatic from '@fastify/static';
import type { ClientConfigResponse } from '@chat/contracts/http';
import type { App } from '../http/app-type.ts';
import { answers, clientConfigAnswer } from '../http/schemas.ts';
import { rateLimitHeaders } from '../limits/rate-headers.ts';

const CORS_MAX_AGE_S = 600;

export type PageOptions = {
  readonly webRoot: string | undefined;
  readonly isProduction: boolean;
  readonly allowedOrigins: readonly string[];
  readonly clientConfig: ClientConfigResponse;
};

export const securityHeaders = async (app: App, options: PageOptions): Promise<void> => {
  const { isProduction, allowedOrigins, clientConfig } = options;
  const origins = clientConfig.gateways.filter((url) => URL.canParse(url)).map((url) => new URL(url).origin);
  await app.register(fastifyHelmet, {
    // Over plain HTTP (development) a browser must not be told to come back with TLS.
    strictTransportSecurity: isProduction,
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        connectSrc: ["'self'", ...new Set(origins)],
        imgSrc: ["'self'", 'data:'],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
  });
  await app.register(fastifyCors, {
    origin: allowedOrigins.includes('*') ? true : [...allowedOrigins],
    methods: ['GET', 'POST'],
    allowedHeaders: ['authorization', 'content-type'],
    exposedHeaders: ['retry-after', ...rateLimitHeaders],
    maxAge: CORS_MAX_AGE_S,
    // Else an OPTIONS without its headers is answered in the plugin's own words instead of an ErrorBody.
    strictPreflight: false,
  });
};

export const pageRoutes = async (app: App, { webRoot, clientConfig }: PageOptions): Promise<void> => {
  app.get(
    '/api/v1/client-config',
    {
      schema: {
        summary: 'What a client needs to begin',
        tags: ['client'],
        response: answers({ 200: clientConfigAnswer }),
      },
    },
    (_, reply) => reply.header('cache-control', 'no-store').send(clientConfig),
  );
  if (webRoot === undefined) return;
  await app.register(fastifyStatic, {
    root: resolve(webRoot),
    cacheControl: false,
    setHeaders: (reply, path) => {
      // Vite names assets by their content; everything else may change with the next build.
      const isHashed = /[\\/]assets[\\/]/.test(path);
      reply.header('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
};
