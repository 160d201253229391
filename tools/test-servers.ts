/** Makes sure that the servers the tests start can be had, before any test: one clear sentence instead of many failures. */

import { findMongod } from '@chat/testkit/servers/mongo-binary';
import { findNatsServer } from '@chat/testkit/servers/nats-binary';
import { findPostgres } from '@chat/testkit/servers/postgres-binaries';
import { findPrometheusTools } from '@chat/testkit/servers/prometheus-tools';
import { createSteps } from './lib/steps.mjs';

const steps = createSteps();
try {
  const nats = await steps.step('find nats-server (2.14 or newer)', findNatsServer);
  const { postgres } = await steps.step('find PostgreSQL', findPostgres);
  const mongod = await steps.step('find mongod (6 or newer)', findMongod);
  steps.say(`  nats-server: ${nats}\n  PostgreSQL: ${postgres}\n  mongod: ${mongod}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

try {
  const { promtool, amtool, prometheus } = await steps.step(
    'find Prometheus and its tools',
    findPrometheusTools,
  );
  steps.say(`  alert rules: ${promtool}, ${amtool}, ${prometheus}`);
} catch (error) {
  // Only the tests of the alerts need them, and those fail with the same sentence.
  steps.say(`  ${error instanceof Error ? error.message : String(error)}`);
}
