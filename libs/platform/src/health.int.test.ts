import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Check, type HealthServer, createHealthServer } from './health.ts';
import { silentLogger } from './log.ts';

let server: HealthServer | undefined;
afterEach(async () => {
  await server?.stop();
});
const start = async (checks: Record<string, Check>): Promise<HealthServer> => {
  server = createHealthServer({ host: '127.0.0.1', port: 0, checks, log: silentLogger(), version: '1.2.3' });
  await server.start();
  return server;
};
const get = async (path: string, method = 'GET'): Promise<{ status: number; body: unknown }> => {
  const response = await fetch(`http://127.0.0.1:${server!.port()}${path}`, { method });
  return { status: response.status, body: await response.json() };
};

describe('the health server', () => {
  it('is ready when every check is, and says which is not and why', async () => {
    let isReady = false;
    await start({
      nats: () => ({ ok: true }),
      tail: () => (isReady ? { ok: true } : { ok: false, reason: 'partition 3 is not filled' }),
    });
    expect(await get('/health/readiness')).toEqual({
      status: 503,
      body: {
        status: 'not_ready',
        version: '1.2.3',
        checks: { nats: { ok: true }, tail: { ok: false, reason: 'partition 3 is not filled' } },
      },
    });
    isReady = true;
    expect(await get('/health/readiness?verbose')).toMatchObject({ status: 200, body: { status: 'ready' } });
  });

  it('is alive whatever the checks say, and answers although a check throws', async () => {
    await start({
      broken: () => {
        throw new Error('bug');
      },
    });
    expect(await get('/health/liveness')).toEqual({ status: 200, body: { status: 'alive' } });
    expect(await get('/health/readiness')).toMatchObject({
      status: 503,
      body: { checks: { broken: { ok: false, reason: 'bug' } } },
    });
  });

  it('is not ready while draining', async () => {
    const { setDraining } = await start({ nats: () => ({ ok: true }) });
    setDraining();
    expect(await get('/health/readiness')).toMatchObject({ status: 503, body: { status: 'draining' } });
    expect((await get('/health/liveness')).status).toBe(200);
  });

  it('knows no other path or method', async () => {
    await start({});
    expect((await get('/')).status).toBe(404);
    expect((await get('/health/liveness', 'POST')).status).toBe(405);
  });

  it('names a taken port and what to set', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const second = createHealthServer({ host: '127.0.0.1', port, checks: {}, log: silentLogger() });
    await expect(second.start()).rejects.toMatchObject({
      code: 'HEALTH_PORT_TAKEN',
      message: expect.stringMatching(new RegExp(`port ${port} .*HEALTH_PORT`)) as string,
    });
    await second.stop();
    await new Promise((resolve) => other.close(resolve));
  });
});
