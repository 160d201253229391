import { fileURLToPath } from 'node:url';
import { defineProject, type UserWorkspaceConfig } from 'vitest/config';

/** These have no test that needs PostgreSQL; the others share one server a run. */
const withoutPostgres: ReadonlySet<string> = new Set([
  'contracts',
  'domain',
  'client',
  'platform',
  'gateway',
  'web',
]);
const postgresSetup = fileURLToPath(new URL('./libs/testkit/src/servers/vitest-setup.ts', import.meta.url));

/** The vitest project every package shares: sources are resolved without a build (`@chat/source`). */
export const chatVitest = (name: string): UserWorkspaceConfig =>
  defineProject({
    resolve: { conditions: ['@chat/source', 'module', 'node', 'default'] },
    ssr: { resolve: { conditions: ['@chat/source', 'module', 'node', 'default'] } },
    test: {
      name,
      include: ['src/**/*.test.ts'],
      exclude: ['**/node_modules/**', '**/dist/**'],
      globalSetup: withoutPostgres.has(name) ? [] : [postgresSetup],
      testTimeout: 30_000,
      hookTimeout: 60_000,
    },
  });
