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

const INT4_OID = 23;
const HEADER_BYTES = 20;

/**
 * All lists one after another as an int4[] in the protocol's binary form: no digits are written here, and none read there
 * (the driver sends a Buffer as binary). The server cuts it into the lists again.
 */
export const int4Array = (lists: readonly (readonly number[])[]): Buffer => {
  const count = lists.reduce((sum, { length }) => sum + length, 0);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + count * 8);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  // One dimension, no NULL, its type, its length, the first index.
  for (const [at, value] of [1, 0, INT4_OID, count, 1].entries()) view.setInt32(at * 4, value);
  let at = HEADER_BYTES;
  for (const list of lists) {
    for (const value of list) {
      view.setInt32(at, 4);
      view.setInt32(at + 4, value);
      at += 8;
    }
  }
  return bytes;
};
