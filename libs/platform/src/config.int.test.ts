import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('ends the process with 78 and one line a problem, on standard error', () => {
  const config = fileURLToPath(new URL('./config.ts', import.meta.url));
  const script = `
    import { exitOnConfigError, int, readConfig, secret } from ${JSON.stringify(config)};
    exitOnConfigError(() => readConfig({ A: int(), B: int(), C: secret({ minLength: 9 }) }, process.env));
    console.log('went on');
  `;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=@chat/source', '--input-type=module', '--eval', script],
    { encoding: 'utf8', env: { A: 'x', C: 'hush' }, cwd: fileURLToPath(new URL('.', import.meta.url)) },
  );
  expect(status).toBe(78);
  expect(stdout).toBe('');
  expect(stderr).toBe(
    'CONFIG_INVALID The configuration is not valid:\n' +
      '  - A="x" must be a whole number\n  - B is missing\n  - C must have at least 9 characters\n',
  );
});
