/** Every nemesis, in the order in which `--all` runs them. Whoever writes one adds its line here. */

import type { Nemesis } from '../nemesis.ts';
import { killNemeses } from './kill.ts';

export const allNemeses: readonly Nemesis[] = [...killNemeses];

export const findNemesis = (name: string): Nemesis | undefined =>
  allNemeses.find((nemesis) => nemesis.name === name);
