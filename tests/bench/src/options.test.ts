import { expect, it } from 'vitest';
import { parseOptions } from './options.ts';
import { scenarioNames } from './scenarios.ts';

it('without arguments it runs every scenario, three rounds of ten seconds', () => {
  const parsed = parseOptions([]);
  expect(parsed).toMatchObject({ ok: true, options: { seconds: 10, rounds: 3, isWriting: false } });
  expect(parsed.ok && parsed.options.scenarios.map(({ name }) => name)).toEqual(scenarioNames());
});

it.each([
  [['--scenario', '1x1']],
  [['--seconds', '0']],
  [['--rounds', 'many']],
  [['--nonsense']],
  [['100x10@64']],
])('refuses %j with a sentence', (args) =>
  expect(parseOptions(args)).toMatchObject({ ok: false, problem: expect.any(String) }),
);
