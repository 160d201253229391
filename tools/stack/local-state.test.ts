import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'chat-local-'));
vi.stubEnv('CHAT_LOCAL_DIR', folder);
const { localPaths, makeFolders, removeLocalData } = await import('./local-state.ts');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('a reset forgets the data of every store and keeps the logs', () => {
  makeFolders();
  const stores = [localPaths.natsData, localPaths.postgresData, localPaths.mongodbData];
  for (const store of stores) {
    mkdirSync(store, { recursive: true });
    writeFileSync(join(store, 'data'), 'x');
  }
  writeFileSync(localPaths.secrets, '{}');
  removeLocalData(localPaths.postgresData);
  for (const path of [...stores, localPaths.secrets]) expect(existsSync(path), path).toBe(false);
  expect(existsSync(localPaths.logs)).toBe(true);
});
