import { newDatabase } from '@chat/testkit/servers/servers';
import fc from 'fast-check';
import pg from 'pg';
import { expect, it } from 'vitest';
import { int4Array, plainArray, textArray, tokenArray } from './array-literal.ts';

it('every array comes out of PostgreSQL as it went in', async () => {
  const database = await newDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const text = fc.option(
    fc.oneof(
      fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed() && !value.includes('\u0000')),
      fc.constantFrom('', 'NULL', 'null', '{}', '","', '\\', '\\"', ' a ', 'a\nb', '{1,2}'),
    ),
    { nil: undefined },
  );
  const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
  const property = fc.asyncProperty(
    fc.array(text),
    fc.array(fc.oneof(token, fc.constant('NULL'))),
    fc.array(fc.nat()),
    fc.array(fc.boolean()),
    fc.array(fc.array(fc.integer())),
    async (texts, tokens, numbers, flags, lists) => {
      const arrays = [textArray(texts), tokenArray(tokens), plainArray(numbers), plainArray(flags)];
      const values = [...arrays, int4Array(lists)];
      const { rows } = await client.query({
        text: 'SELECT $1::text[], $2::text[], $3::float8[], $4::boolean[], $5::int4[]',
        values,
        rowMode: 'array',
      });
      expect(rows[0]).toEqual([texts.map((value) => value ?? null), tokens, numbers, flags, lists.flat()]);
    },
  );
  try {
    await fc.assert(property, { numRuns: 300 });
  } finally {
    await client.end();
    await database.drop();
  }
});
