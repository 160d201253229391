/**
 * Rate, errors and duration of requests by route pattern: never by path, so that the labels are bounded by the routes
 * there are. A request whose client went away before the answer was sent counts as status 499.
 */

import { performance } from 'node:perf_hooks';
import type { Metrics } from '@chat/platform/metrics';
import type { FastifyReply } from 'fastify';
import type { App } from './app-type.ts';
import { refusalCodeOf } from './refusals.ts';

const STATUS_CLIENT_GONE = 499;
const NO_ROUTE = 'none';
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Before any other hook: what they refuse is counted too. */
export const measureRequests = (app: App, metrics: Metrics): void => {
  let inFlightCount = 0;
  metrics.gauge({
    name: 'chat_api_requests_in_flight',
    help: 'Requests that are being served.',
    collect() {
      this.set(inFlightCount);
    },
  });
  const requests = metrics.counter({
    name: 'chat_api_requests_total',
    help: 'Requests by route and status; 499: the client went away first.',
    labelNames: ['method', 'route', 'status'],
  });
  const durations = metrics.histogram({
    name: 'chat_api_request_duration_seconds',
    help: 'From the head of a request to the end of its answer.',
    labelNames: ['method', 'route'],
  });
  const refusals = metrics.counter({
    name: 'chat_api_refusals_total',
    help: 'Refused requests by the code of the error catalogue.',
    labelNames: ['code'],
  });

  const count = (reply: FastifyReply, beganMs: number): void => {
    const { request, raw } = reply;
    const route = request.routeOptions.url ?? NO_ROUTE;
    const method = methods.has(request.method) ? request.method : 'OTHER';
    const status = raw.writableFinished ? raw.statusCode : STATUS_CLIENT_GONE;
    requests.inc({ method, route, status: String(status) });
    durations.observe({ method, route }, (performance.now() - beganMs) / 1_000);
    const code = refusalCodeOf(reply);
    if (code !== undefined) refusals.inc({ code });
  };

  app.addHook('onRequest', (_, reply, done) => {
    const beganMs = performance.now();
    inFlightCount += 1;
    // Unlike the framework's own hook it comes also when the client is gone; once in every case.
    reply.raw.once('close', () => {
      inFlightCount -= 1;
      count(reply, beganMs);
    });
    done();
  });
};
