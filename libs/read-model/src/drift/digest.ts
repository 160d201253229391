/**
 * Digests of messages. The same text is made here and in SQL (postgres.ts), so that PostgreSQL hashes its rows itself.
 * MD5 tells rows apart that differ by accident; nobody gains by making two that do not.
 */

import { hash } from 'node:crypto';
import type { MessageRow } from '../fold.ts';

export const messageDigest = (row: MessageRow): string =>
  hash('md5', `${row.channelSeq}|${row.countedSeq}|${row.seq}|${row.id}|${row.actor}|${row.at}|${row.text}`);

/** For reports: what may not be told (texts, names) is told apart by this. */
export const shortDigest = (text: string): string => hash('sha256', text, 'base64url').slice(0, 12);
