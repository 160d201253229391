/** The log of one process: appended to, and moved to `<name>.1.log` when it passes its bound. */

import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const LOG_MAX_BYTES = 20 * 2 ** 20;

export type LogFile = { readonly file: string; readonly write: (line: string) => void };

export const createLogFile = (file: string): LogFile => {
  let sizeBytes = 0;
  mkdirSync(dirname(file), { recursive: true });
  try {
    sizeBytes = statSync(file).size;
  } catch {
    // new
  }
  return {
    file,
    write: (line) => {
      try {
        if (sizeBytes > LOG_MAX_BYTES) {
          renameSync(file, file.replace(/\.log$/, '.1.log'));
          sizeBytes = 0;
        }
        appendFileSync(file, `${line}\n`);
        sizeBytes += Buffer.byteLength(line) + 1;
      } catch {
        // A full disk or a removed folder must not end the stack; the line is lost.
      }
    },
  };
};
