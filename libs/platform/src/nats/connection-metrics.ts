import type { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../metrics.ts';

export type ConnectionMetrics = {
  connected(isConnected: boolean): void;
  reconnected(): void;
};

type Registered = {
  readonly connected: Gauge<'connection'>;
  readonly reconnects: Counter<'connection'>;
};

/** A process may have several connections; they share the metrics of its registry. */
const registered = new WeakMap<Metrics, Registered>();

const registeredIn = (metrics: Metrics): Registered => {
  const known = registered.get(metrics);
  if (known) return known;
  const made: Registered = {
    connected: metrics.gauge({
      name: 'chat_nats_connected',
      help: '1 while this connection to NATS stands.',
      labelNames: ['connection'],
    }),
    reconnects: metrics.counter({
      name: 'chat_nats_reconnects_total',
      help: 'Times this connection to NATS was made again after it was lost.',
      labelNames: ['connection'],
    }),
  };
  registered.set(metrics, made);
  return made;
};

/** `connection` is one of a few fixed words (`main`, `replay`). Begins as not connected. */
export const connectionMetrics = (metrics: Metrics | undefined, connection: string): ConnectionMetrics => {
  if (metrics === undefined) return { connected: () => undefined, reconnected: () => undefined };
  const { connected, reconnects } = registeredIn(metrics);
  const standing = connected.labels(connection);
  const again = reconnects.labels(connection);
  standing.set(0);
  again.inc(0);
  return {
    connected: (isConnected) => standing.set(isConnected ? 1 : 0),
    reconnected: () => {
      standing.set(1);
      again.inc();
    },
  };
};
