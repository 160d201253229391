import js from '@eslint/js';
import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

const drivers = [
  'pg',
  'kysely',
  'mongodb',
  '@nats-io/*',
  'uWebSockets.js',
  'fastify',
  '@fastify/*',
  'pino',
  'node:*',
];
const libs = (...names) => names.map((name) => `scope:${name}`);

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      '**/dist-types/**',
      '**/node_modules/**',
      '.local/**',
      '.nx/**',
      '**/*.d.ts',
      'coverage/**',
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    languageOptions: {
      parserOptions: {
        projectService: {
          allowDefaultProject: [
            '*.ts',
            '*/*/vitest.config.ts',
            '*/*/vite.config.ts',
            'tools/vitest.config.ts',
          ],
          maximumDefaultProjectFileMatchCount_THIS_WILL_SLOW_DOWN_LINTING: 40,
        },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' },
      ],
    },
  },
  {
    // These run in a browser as well, and do no I/O.
    files: ['libs/contracts/src/**/*.ts', 'libs/domain/src/**/*.ts', 'libs/client/src/**/*.ts'],
    ignores: ['**/*.test.ts', 'libs/client/src/testing/**'],
    rules: { 'no-restricted-imports': ['error', { patterns: ['node:*'] }] },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        URL: 'readonly',
      },
    },
  },
  {
    files: ['apps/**/*.ts', 'apps/**/*.tsx', 'libs/**/*.ts', 'tests/**/*.ts', 'tools/**/*.ts'],
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        {
          enforceBuildableLibDependency: false,
          allow: ['^.*/vitest\\.shared\\.ts$'],
          depConstraints: [
            {
              sourceTag: 'scope:contracts',
              onlyDependOnLibsWithTags: libs('contracts'),
              bannedExternalImports: drivers,
            },
            {
              sourceTag: 'scope:domain',
              onlyDependOnLibsWithTags: libs('contracts', 'domain'),
              bannedExternalImports: drivers,
            },
            {
              sourceTag: 'scope:client',
              onlyDependOnLibsWithTags: libs('contracts', 'client'),
              bannedExternalImports: drivers,
            },
            { sourceTag: 'scope:platform', onlyDependOnLibsWithTags: libs('contracts', 'platform') },
            {
              sourceTag: 'scope:read-model',
              onlyDependOnLibsWithTags: libs('contracts', 'platform', 'read-model', 'testkit'),
            },
            { sourceTag: 'scope:testkit', onlyDependOnLibsWithTags: ['type:lib'] },
            { sourceTag: 'type:app', onlyDependOnLibsWithTags: ['type:lib'] },
            { sourceTag: 'type:test', onlyDependOnLibsWithTags: ['type:lib'] },
            { sourceTag: 'type:tool', onlyDependOnLibsWithTags: ['type:lib'] },
          ],
        },
      ],
    },
  },
);
