/** The error catalogue as the table that is printed into the docs. */

import { errorCatalogue } from './errors.ts';

export const errorCatalogueMarkdown = (): string =>
  [
    '# Error codes',
    '',
    'One catalogue for WebSocket (`error`, `rejected`) and HTTP. A code never changes its meaning and is never used again for another.',
    'Generated from `libs/contracts/src/errors.ts` by `npm run docs`.',
    '',
    '| code | HTTP | retry | meaning |',
    '| ---- | ---- | ----- | ------- |',
    ...Object.entries(errorCatalogue).map(
      ([code, spec]) =>
        `| \`${code}\` | ${spec.status} | ${spec.retryable ? 'yes' : 'no'} | ${spec.message} |`,
    ),
    '',
  ].join('\n');
