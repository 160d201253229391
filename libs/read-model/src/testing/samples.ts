/** One event of every version that was ever written (libs/contracts/samples), as one history of a team. For tests. */

import { readFileSync, readdirSync } from 'node:fs';
import type { Scope } from '@chat/contracts/subjects';
import { type StoredEvent, readStoredEvent } from '@chat/contracts/upcast';
import type { ReadEvent } from '../port.ts';
import { teams } from './arbitrary-history.ts';

type Sample = { readonly scope: Scope; readonly event: StoredEvent };

const folder = new URL('../../../contracts/samples/', import.meta.url);

export const sampleHistory = (): readonly ReadEvent[] =>
  readdirSync(folder)
    .filter((file) => file !== 'lock.json')
    .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Sample)
    .map(({ scope, event }) => ({ teamId: teams[0]!, scope, event: readStoredEvent(event) }))
    .sort((a, b) => a.event.seq - b.event.seq);
