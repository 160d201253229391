import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { silentLogger } from './log.ts';
import { parseTraceparent, startTracing } from './tracing.ts';

const sampled = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const options = { service: 'test', instance: 'i', endpoint: 'http://127.0.0.1:9', log: silentLogger() };

describe('tracing', () => {
  it('is nothing at all when its ratio is 0', async () => {
    const { tracer, stop } = await startTracing({ ...options, ratio: 0 });
    expect(tracer).toBeUndefined();
    await stop();
  });

  it('reads a sampled traceparent of version 00 and no other', () => {
    expect(parseTraceparent(sampled)).toEqual({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) });
    for (const wrong of [
      undefined,
      '',
      sampled.replace(/01$/, '00'),
      sampled.replace(/^00/, '01'),
      sampled.replaceAll('a', '0'),
      sampled.replaceAll('b', '0'),
      sampled.toUpperCase(),
      `${sampled}-x`,
    ])
      expect(parseTraceparent(wrong), wrong).toBeUndefined();
  });

  it('goes on with the trace of a header, and without one begins none', async () => {
    const { tracer, stop } = await startTracing({ ...options, ratio: 1 });
    const span = tracer?.remote('a', sampled);
    expect(span?.traceId).toBe('a'.repeat(32));
    expect(span?.child('b').traceId).toBe('a'.repeat(32));
    expect(parseTraceparent(span?.traceparent)?.traceId).toBe('a'.repeat(32));
    expect(tracer?.remote('a', undefined)).toBeUndefined();
    await stop();
  });

  it('samples about its ratio, and an unsampled command has no span', async () => {
    const { tracer, stop } = await startTracing({ ...options, ratio: 0.5 });
    let count = 0;
    for (let i = 0; i < 400; i += 1) if (tracer?.root('a') !== undefined) count += 1;
    expect(count).toBeGreaterThan(100);
    expect(count).toBeLessThan(300);
    await stop();
  });

  it('a collector that never answers does not hold up the stop', async () => {
    const server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { tracer, stop } = await startTracing({ ...options, endpoint, ratio: 1 });
    tracer?.root('a')?.end();
    const startedMs = performance.now();
    await stop();
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  });
});
