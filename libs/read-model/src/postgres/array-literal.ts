/**
 * PostgreSQL array literals of whole columns. The driver's own conversion looks at every element twice and escapes it
 * with two regular expressions; most of our columns hold numbers and ids, which need neither (measured: 2.6 µs
 * instead of 6.5 µs for the nine columns of a message).
 */

/** Numbers, booleans and UUIDs: nothing in them has a meaning in a literal. */
export const plainArray = (values: readonly (number | boolean | string)[]): string => `{${values.join(',')}}`;

/** Ids of our own alphabet (no quote, no backslash). Quoted, because a user may be called NULL. */
export const tokenArray = (values: readonly string[]): string =>
  values.length === 0 ? '{}' : `{"${values.join('","')}"}`;

/** Any text; undefined becomes NULL. */
export const textArray = (values: readonly (string | undefined)[]): string =>
  `{${values.map((value) => (value === undefined ? 'NULL' : quoted(value))).join(',')}}`;

const quoted = (value: string): string => `"${value.replace(/["\\]/g, '\\$&')}"`;
