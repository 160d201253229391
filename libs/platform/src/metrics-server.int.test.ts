import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from './log.ts';
import { createMetrics } from './metrics.ts';
import { type MetricsServer, createMetricsServer } from './metrics-server.ts';

let server: MetricsServer | undefined;
afterEach(async () => {
  await server?.stop();
});
const start = async (metrics = createMetrics({ service: 'test' })): Promise<string> => {
  server = createMetricsServer({ host: '127.0.0.1', port: 0, metrics, log: silentLogger() });
  await server.start();
  return `http://127.0.0.1:${server.port()}`;
};

describe('the metrics server', () => {
  it('answers the exposition format with what is read at the scrape, and who the process is', async () => {
    const metrics = createMetrics({ service: 'test' });
    let depth = 1;
    metrics.gauge({
      name: 'chat_test_depth',
      help: 'a depth',
      collect() {
        this.set(depth);
      },
    });
    const url = await start(metrics);
    depth = 7;
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    const text = await response.text();
    expect(text).toContain('# TYPE chat_test_depth gauge\nchat_test_depth 7\n');
    expect(text).toMatch(/chat_build_info\{service="test",version="\d+\.\d+\.\d+"\} 1/);
    expect(text).toContain('nodejs_eventloop_lag_seconds');
  });

  it('says that a metric could not be read, and goes on', async () => {
    const metrics = createMetrics();
    let isBroken = true;
    metrics.gauge({
      name: 'chat_test_broken',
      help: 'throws once',
      collect() {
        if (isBroken) throw new Error('bug');
        this.set(1);
      },
    });
    const url = await start(metrics);
    expect((await fetch(`${url}/metrics`)).status).toBe(500);
    isBroken = false;
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
  });

  it('knows no other path or method', async () => {
    const url = await start();
    expect((await fetch(url)).status).toBe(404);
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405);
  });

  it('names a taken port and what to set', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const metrics = createMetrics();
    const second = createMetricsServer({ host: '127.0.0.1', port, metrics, log: silentLogger() });
    await expect(second.start()).rejects.toMatchObject({
      code: 'METRICS_PORT_TAKEN',
      message: expect.stringMatching(new RegExp(`port ${port} .*METRICS_PORT`)) as string,
    });
    await second.stop();
    await new Promise((resolve) => other.close(resolve));
  });
});
