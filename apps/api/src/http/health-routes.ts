/** Liveness and readiness on the main port as well, for balancers that see only that one. */

import type { Check, CheckResult } from '@chat/platform/health';
import type { App } from './app-type.ts';

export type HealthRoutesOptions = {
  readonly checks: Readonly<Record<string, Check>>;
  readonly isDraining: () => boolean;
};

export const healthRoutes = (app: App, { checks, isDraining }: HealthRoutesOptions): void => {
  app.get('/health/liveness', { schema: { hide: true } }, (_, reply) =>
    reply.header('cache-control', 'no-store').send({ status: 'alive' }),
  );
  app.get('/health/readiness', { schema: { hide: true } }, (_, reply) => {
    const results: Record<string, CheckResult> = {};
    for (const [name, check] of Object.entries(checks)) results[name] = check();
    const isReady = !isDraining() && Object.values(results).every(({ ok }) => ok);
    const status = isDraining() ? 'draining' : isReady ? 'ready' : 'not_ready';
    return reply
      .code(isReady ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ status, checks: results });
  });
};
