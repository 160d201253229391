/**
 * Waits for a condition instead of for a time: asks again until `probe` answers something other than undefined or
 * false. A probe that throws counts as "not yet". Fails after `timeoutMs` with the last thing it heard.
 */
export const eventually = async <T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  options: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<T> => {
  const { timeoutMs = 15_000, everyMs = 50 } = options;
  const deadline = performance.now() + timeoutMs;
  let heard: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      heard = value;
    } catch (error) {
      heard = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${what} (last: ${String(heard)})`, { cause: heard });
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
};

/** Settles with the promise, or throws after `timeoutMs` naming what was waited for. */
export const within = async <T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
};
