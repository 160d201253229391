/** The command line as a request: `rebuild core`, `drift --view core --partition 3`. Whole numbers are numbers, a flag alone is true. */

import type { OpsHandlers, OpsInput } from './ops-handler.ts';

export type CommandLine =
  | { readonly kind: 'command'; readonly name: string; readonly input: OpsInput }
  | { readonly kind: 'not_understood'; readonly message: string };

const valueOf = (text: string): string | number | boolean => {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  return text === 'true' ? true : text === 'false' ? false : text;
};

export const parseCommandLine = (handlers: OpsHandlers, argv: readonly string[]): CommandLine => {
  const [name, ...rest] = argv;
  if (name === undefined) return { kind: 'not_understood', message: 'What shall be done?' };
  const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined;
  if (!handler) return { kind: 'not_understood', message: `There is no ${JSON.stringify(name)}.` };
  const input: Record<string, unknown> = {};
  const places = [...(handler.args ?? [])];
  for (let at = 0; at < rest.length; at += 1) {
    const word = rest[at] ?? '';
    const flag = /^--([A-Za-z][A-Za-z0-9]*)(?:=(.*))?$/.exec(word);
    if (!flag) {
      const place = places.shift();
      if (place === undefined) return { kind: 'not_understood', message: `${word} is one word too many.` };
      input[place] = valueOf(word);
      continue;
    }
    const [, key = '', given] = flag;
    const next = rest[at + 1];
    const isNext = given === undefined && next !== undefined && !next.startsWith('--');
    input[key] = given !== undefined ? valueOf(given) : isNext ? valueOf(next) : true;
    if (isNext) at += 1;
  }
  return { kind: 'command', name, input };
};

export const usage = (handlers: OpsHandlers): string =>
  Object.entries(handlers)
    .map(([name, { args = [], help }]) => {
      const call = [name, ...args.map((arg) => `<${arg}>`)].join(' ');
      return `  ${call.padEnd(26)} ${help}`;
    })
    .join('\n');
