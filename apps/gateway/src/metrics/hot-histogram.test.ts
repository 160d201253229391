import { expect, it } from 'vitest';
import { createMetrics } from '@chat/platform/metrics';
import { createHotHistogram } from './hot-histogram.ts';

it("shows what prom-client's histogram shows of the same observations, edges of buckets included", async () => {
  const [own, theirs] = [createMetrics(), createMetrics()];
  const options = { name: 'chat_x_seconds', help: 'x' } as const;
  const hot = createHotHistogram(own, options);
  const histogram = theirs.histogram(options);
  for (const seconds of [0, 0.001, 0.0011, 0.2, 0.25, 0.3, 0.30001, 1, 29.9, 30, 31, 1_000]) {
    hot.observe(seconds);
    histogram.observe(seconds);
  }
  expect(await own.registry.metrics()).toBe(await theirs.registry.metrics());
});

it('a duration below zero counts as none', async () => {
  const metrics = createMetrics();
  createHotHistogram(metrics, { name: 'chat_x_seconds', help: 'x' }).observe(-5);
  expect(await metrics.registry.metrics()).toContain('chat_x_seconds_sum 0\n');
});
