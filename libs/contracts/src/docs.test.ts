import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { asyncApiDocument } from './asyncapi.ts';
import { errorCatalogueMarkdown } from './errors-markdown.ts';

const read = (name: string): string =>
  readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

it('docs/asyncapi.json is what the schemas say (else run `npm run docs`)', () => {
  expect(JSON.parse(read('asyncapi.json'))).toEqual(JSON.parse(JSON.stringify(asyncApiDocument('1.0.0'))));
});

it('docs/errors.md is what the catalogue says (else run `npm run docs`)', () => {
  expect(read('errors.md')).toBe(errorCatalogueMarkdown());
});
