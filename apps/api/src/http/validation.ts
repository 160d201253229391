/** TypeBox schemas as validators: bodies as they are (a number is no string), numbers of a query from their digits. */

import type { FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

type Properties = Readonly<Record<string, { readonly type?: string }>>;

/** Digits only: no sign, no exponent, no blank; anything else stays a string and fails the check. */
const withNumbers = (value: unknown, properties: Properties): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, raw]) => {
      const isInteger = Object.hasOwn(properties, name) && properties[name]?.type === 'integer';
      return [name, isInteger && typeof raw === 'string' && /^\d{1,16}$/.test(raw) ? Number(raw) : raw];
    }),
  );
};

export const validateWithTypeBox = (app: FastifyInstance): void => {
  app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => {
    const validator = Compile(schema);
    const properties = ((schema as { properties?: Properties }).properties ?? {}) as Properties;
    return (raw: unknown) => {
      const value = httpPart === 'querystring' ? withNumbers(raw, properties) : raw;
      if (validator.Check(value)) return { value };
      const first = validator.Errors(value)[0];
      const where = `${httpPart ?? 'request'}${first?.instancePath ?? ''}`;
      return {
        error: Object.assign(new Error(`${where}: ${first?.message ?? 'is not valid'}`), { validation: [] }),
      };
    };
  });
  // Schemas of answers are documentation; what is sent is what the handler made, byte for byte.
  app.setSerializerCompiler(() => JSON.stringify);
};
