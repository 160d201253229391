import { mergeConfig } from 'vitest/config';
import { chatVitest } from '../vitest.shared.ts';

// No `src` here: entries stand beside their folders.
export default mergeConfig(chatVitest('tools'), {
  test: { include: ['{stack,lib,chat,docs,observability}/**/*.test.ts'] },
});
