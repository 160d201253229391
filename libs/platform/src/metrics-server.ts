import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault, codeOf, reasonOf } from './faults.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { onceAsync } from './service.ts';

export type MetricsServer = {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The port it listens on (after start; useful with port 0). */
  port(): number;
};

export type MetricsServerOptions = {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  readonly log: Logger;
};

/**
 * `GET /metrics` in the text exposition format of Prometheus, on a port of its own: not the users', so that a balancer
 * cannot publish it, and not the probes', so that a slow scrape delays no probe. `start` throws a Fault METRICS_PORT_TAKEN
 * when another process listens there.
 */
export const createMetricsServer = (options: MetricsServerOptions): MetricsServer => {
  const { host, port, metrics, log } = options;
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(response, 405, 'method not allowed\n');
    else if (path === '/metrics') void scrape(response);
    else answer(response, 404, 'not found: the metrics are at /metrics\n');
  });
  server.keepAliveTimeout = 65_000; // longer than a scrape interval: one connection a scraper

  const scrape = async (response: ServerResponse): Promise<void> => {
    try {
      answer(response, 200, await metrics.registry.metrics(), metrics.registry.contentType);
    } catch (error) {
      // A `collect` of ours has a bug; the process goes on, and the scraper sees `up` = 0.
      log.error({ reason: reasonOf(error) }, 'the metrics could not be collected');
      answer(response, 500, 'the metrics could not be collected\n');
    }
  };
  const portNow = (): number => (server.address() as AddressInfo | null)?.port ?? port;

  return {
    start: onceAsync(async () => {
      await new Promise<void>((resolve, reject) => {
        server.once('error', (error) => reject(faultOf(error, host, port)));
        server.listen(port, host, resolve);
      });
      log.info({ host, port: portNow() }, 'metrics server listening');
    }),
    stop: onceAsync(
      () =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    ),
    port: portNow,
  };
};

const faultOf = (error: Error, host: string, port: number): Fault =>
  codeOf(error) === 'EADDRINUSE'
    ? new Fault(
        'METRICS_PORT_TAKEN',
        `port ${port} on ${host} is taken by another process; set METRICS_PORT to a free one`,
        error,
      )
    : new Fault('METRICS_LISTEN_FAILED', `cannot listen on ${host}:${port}: ${error.message}`, error);

const answer = (response: ServerResponse, status: number, body: string, type = 'text/plain'): void => {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(body);
};
