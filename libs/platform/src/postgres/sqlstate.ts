/**
 * What a PostgreSQL error means for whoever must react to it:
 * - `transient`: the database's trouble (or the network's). Wait and retry the same; never the command's fault.
 * - `data`:      the statement's values are at fault (classes 22, 23). Retrying the same fails the same.
 * - `fenced`:    our own CH001: another writer owns the partition. Drop every cached state.
 * - `bug`:       anything else (syntax, missing table, permission): a person must look.
 */

import { OverloadedFault, TimeoutFault, UnavailableFault, codeOf } from '../faults.ts';

export type ErrorKind = 'transient' | 'data' | 'fenced' | 'bug';

/** Raised by our own functions in the database when `owner_epoch` does not match. */
export const SQLSTATE_FENCED = 'CH001';

const transientClasses = new Set(['08', '40', '53', '57', '58']);
/** Lock not available, read-only transaction (a demoted primary), canceled by a lock timeout. */
const transientStates = new Set(['55P03', '25006', '25P03']);
const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);
/** What node-postgres says, without a code, about a connection that ended or did not come. */
const driverTrouble =
  /Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed|connection is closed|Cannot use a pool after calling end/i;

export const classify = (error: unknown): ErrorKind => {
  if (error instanceof TimeoutFault || error instanceof UnavailableFault) return 'transient';
  if (error instanceof AggregateError && error.errors.length > 0) return classify(error.errors[0]);
  const code = codeOf(error);
  if (code === SQLSTATE_FENCED) return 'fenced';
  if (code !== undefined && networkCodes.has(code)) return 'transient';
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code)) {
    const sqlClass = code.slice(0, 2);
    if (transientClasses.has(sqlClass) || transientStates.has(code)) return 'transient';
    return sqlClass === '22' || sqlClass === '23' ? 'data' : 'bug';
  }
  return error instanceof Error && driverTrouble.test(error.message) ? 'transient' : 'bug';
};

/** What a breaker counts: the server's trouble. Not a lost race (class 40), nor a bound of our own. */
export const isServerTrouble = (error: unknown): boolean =>
  classify(error) === 'transient' &&
  !(error instanceof OverloadedFault) &&
  !(codeOf(error)?.startsWith('40') ?? false);

/** 23505: a unique index refused; `constraint` tells which. */
export const uniqueViolationOf = (error: unknown): string | undefined =>
  codeOf(error) === '23505' ? ((error as { constraint?: string }).constraint ?? '') : undefined;
