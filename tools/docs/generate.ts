/** Writes the generated documents: `docs/asyncapi.json` and `docs/errors.md`. A test fails when they are stale. */

import { writeFileSync } from 'node:fs';
import { asyncApiDocument } from '@chat/contracts/asyncapi';
import { errorCatalogueMarkdown } from '@chat/contracts/errors-markdown';

const docs = new URL('../../docs/', import.meta.url);
writeFileSync(new URL('asyncapi.json', docs), `${JSON.stringify(asyncApiDocument('1.0.0'), null, 2)}\n`);
writeFileSync(new URL('errors.md', docs), errorCatalogueMarkdown());
