/** `npm run dashboards`: writes the Grafana dashboards. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { dashboardJson, dashboards } from './dashboards.ts';

for (const dashboard of dashboards) {
  const file = `deploy/observability/grafana/${dashboard.uid}.json`;
  writeFileSync(join(repositoryRoot, file), dashboardJson(dashboard));
  console.log(file);
}
