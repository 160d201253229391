import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { VERSION } from './version.ts';

it('the version that processes report is the one of the packages', () => {
  for (const file of ['../package.json', '../../../package.json'])
    expect(JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'))).toMatchObject({
      version: VERSION,
    });
});
