import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault, codeOf } from './faults.ts';
import type { Logger } from './log.ts';
import { onceAsync } from './service.ts';

export type CheckResult = { readonly ok: true } | { readonly ok: false; readonly reason: string };
/** Synchronous and cheap: a component keeps its state, the check only reads it. A probe never waits for I/O. */
export type Check = () => CheckResult;

export type HealthServer = {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** From now on readiness is 503 `draining`, so that balancers send nothing new. */
  setDraining(): void;
  /** The port it listens on (after start; useful with port 0). */
  port(): number;
};

export type HealthServerOptions = {
  readonly host: string;
  readonly port: number;
  readonly checks: Readonly<Record<string, Check>>;
  readonly log: Logger;
  readonly version?: string;
};

/**
 * `GET /health/liveness` is 200 as long as the process turns its event loop; `GET /health/readiness` is 200 or
 * 503 with `{status, version?, checks: {name: {ok, reason?}}}`. On its own port, apart from users' traffic.
 * `start` throws a Fault HEALTH_PORT_TAKEN when another process listens there.
 */
export const createHealthServer = (options: HealthServerOptions): HealthServer => {
  const { host, port, checks, log, version } = options;
  let draining = false;
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD')
      answer(response, 405, { status: 'method not allowed' });
    else if (path === '/health/liveness') answer(response, 200, { status: 'alive' });
    else if (path === '/health/readiness') readiness(response);
    else answer(response, 404, { status: 'not found' });
  });
  server.keepAliveTimeout = 5_000;

  const readiness = (response: ServerResponse): void => {
    const results: Record<string, CheckResult> = {};
    let ready = !draining;
    for (const [name, check] of Object.entries(checks)) {
      const result = runCheck(check);
      results[name] = result;
      ready &&= result.ok;
    }
    const status = draining ? 'draining' : ready ? 'ready' : 'not_ready';
    answer(response, ready ? 200 : 503, { status, version, checks: results });
  };

  return {
    start: onceAsync(async () => {
      await listen(server, host, port);
      log.debug({ host, port: (server.address() as AddressInfo).port }, 'health server listening');
    }),
    stop: onceAsync(
      () =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    ),
    setDraining: () => {
      draining = true;
    },
    port: () => (server.address() as AddressInfo | null)?.port ?? port,
  };
};

const runCheck = (check: Check): CheckResult => {
  try {
    return check();
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
};

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const code = codeOf(error);
      if (code === 'EADDRINUSE') {
        const hint = `port ${port} on ${host} is taken by another process; set HEALTH_PORT to a free one`;
        reject(new Fault('HEALTH_PORT_TAKEN', hint, error));
      } else
        reject(
          new Fault('HEALTH_LISTEN_FAILED', `cannot listen on ${host}:${port}: ${error.message}`, error),
        );
    });
    server.listen(port, host, () => resolve());
  });

const answer = (response: ServerResponse, status: number, body: object): void => {
  const json = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(json);
};
