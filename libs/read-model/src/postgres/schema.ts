/** The schema (namespace) the read model lives in. Its name is a parameter, so that a new version can be built beside the old. */

export const READ_SCHEMA = 'read';

const schemaPattern = /^[a-z_][a-z0-9_]{0,39}$/;

/** Names go into SQL as they are: throws RangeError on anything but a plain lower-case identifier. */
export const checkedSchema = (schema: string): string => {
  if (!schemaPattern.test(schema))
    throw new RangeError('the read schema must be a plain lower-case identifier');
  return schema;
};
