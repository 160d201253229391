import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { dashboardJson, dashboards } from './dashboards.ts';

const folder = join(repositoryRoot, 'deploy/observability/grafana');

describe('the dashboards', () => {
  it('are the generated ones (else: npm run dashboards)', () => {
    expect(readdirSync(folder).sort()).toEqual(dashboards.map(({ uid }) => `${uid}.json`).sort());
    for (const dashboard of dashboards)
      expect(readFileSync(join(folder, `${dashboard.uid}.json`), 'utf8'), dashboard.uid).toBe(
        dashboardJson(dashboard),
      );
  });

  it('place no panel on another', () => {
    for (const dashboard of dashboards) {
      const { panels } = JSON.parse(dashboardJson(dashboard)) as {
        panels: { gridPos: { x: number; y: number; w: number; h: number } }[];
      };
      const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
      );
      expect(new Set(cells).size, dashboard.uid).toBe(cells.length);
    }
  });
});
