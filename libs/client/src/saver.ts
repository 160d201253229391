/**
 * Writes the newest state to storage: at once when a command was added or settled, else at most once in
 * SAVE_EVERY_MS. One save at a time; what changed meanwhile is written after it. A storage that fails is
 * reported, and tried again at the next change: the client goes on in memory.
 */

import type { Clock } from './clock.ts';
import type { ClientStorage } from './storage.ts';

export const SAVE_EVERY_MS = 1_000;

export const createSaver = (
  storage: ClientStorage,
  clock: Clock,
  encode: () => string,
  onFault: (error: unknown) => void,
) => {
  let isDirty = false;
  let running: Promise<void> | undefined;
  let cancelTimer: (() => void) | undefined;

  const save = (): void => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (running || !isDirty) return;
    isDirty = false;
    try {
      const saving = storage.save(encode());
      if (!saving) return;
      running = saving.catch(onFault).finally(() => {
        running = undefined;
        save();
      });
    } catch (error) {
      onFault(error);
    }
  };

  return {
    request: (urgent: boolean): void => {
      isDirty = true;
      if (urgent) save();
      else cancelTimer ??= clock.after(SAVE_EVERY_MS, save);
    },
    flush: async (): Promise<void> => {
      save();
      while (running) await running;
    },
  };
};
