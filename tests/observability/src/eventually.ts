/** Answers the first value that is not undefined; fails with `what` after 20 s. */
export const eventually = async <T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> => {
  const deadlineMs = Date.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadlineMs) throw new Error(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
