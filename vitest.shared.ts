import { defineProject, type UserWorkspaceConfig } from 'vitest/config';

/** The vitest project every package shares: sources are resolved without a build (`@chat/source`). */
export const chatVitest = (name: string): UserWorkspaceConfig =>
  defineProject({
    resolve: { conditions: ['@chat/source', 'module', 'node', 'default'] },
    ssr: { resolve: { conditions: ['@chat/source', 'module', 'node', 'default'] } },
    test: {
      name,
      include: ['src/**/*.test.ts'],
      exclude: ['**/node_modules/**', '**/dist/**'],
      testTimeout: 30_000,
      hookTimeout: 60_000,
    },
  });
