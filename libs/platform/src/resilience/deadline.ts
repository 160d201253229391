import { TimeoutFault } from '../faults.ts';

/**
 * Settles as `promise` does, or rejects with TimeoutFault naming `what` after `ms`. The work itself goes on: its
 * late result (or error) is dropped, so only use it where that is harmless.
 */
export const withTimeout = <T>(promise: Promise<T>, ms: number, what: string): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new TimeoutFault(what, ms)), ms);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
