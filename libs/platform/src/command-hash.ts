import { createHash } from 'node:crypto';

/**
 * 16 base64url characters (the first 12 bytes of SHA-256) over `name + "\n" + dataJson`. `dataJson` is the
 * canonical JSON made by `parseCommand`, so equal wishes have equal hashes: a repeat is told from the misuse
 * of an id without keeping the body.
 */
export const commandHash = (name: string, dataJson: string): string =>
  createHash('sha256').update(`${name}\n${dataJson}`).digest().toString('base64url', 0, 12);
