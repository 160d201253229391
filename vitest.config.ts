import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      'apps/*/vitest.config.ts',
      'libs/*/vitest.config.ts',
      'tests/*/vitest.config.ts',
      'tools/vitest.config.ts',
    ],
    maxWorkers: 2,
    passWithNoTests: true,
  },
});
