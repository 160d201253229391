import { createMetrics } from '@chat/platform/metrics';
import { createStats } from '../metrics/gateway-metrics.ts';
import type { GatewayStats } from '../metrics/gateway-stats.ts';

/** Counts for a piece that is tested alone. */
export const newStats = (): GatewayStats => createStats(createMetrics());
