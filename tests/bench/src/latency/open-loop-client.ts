/** The open-loop client's process. */

import { serveLoadProcess } from '../load-process.ts';
import { createOpenLoopRun } from './open-loop-run.ts';

serveLoadProcess(createOpenLoopRun);
