import { chatVitest } from '../../vitest.shared.ts';

export default chatVitest('chaos');
