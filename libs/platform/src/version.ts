/** The version of every part: they are built and rolled together. A test compares it with package.json. */
export const VERSION = '0.1.0';
