import { ConfigError } from '@chat/platform/faults';
import { expect, it } from 'vitest';
import { readApiConfig } from './config.ts';

const sound = {
  CHAT_ENV: 'production',
  NATS_URL: 'nats://127.0.0.1:4222',
  READ_DATABASE_URL: 'postgres://u:hidden@127.0.0.1/chat',
  JWT_ISSUER: 'https://id.example',
  JWT_JWKS: 'https://id.example/jwks',
  TEAM_ID_SECRET: 'a secret of enough length',
};

const problemsOf = (env: Record<string, string>): string => {
  try {
    readApiConfig(env);
    return '';
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.join('\n');
    throw error;
  }
};

it('a sound environment is taken', () => {
  expect(problemsOf(sound)).toBe('');
});

it('every bad or missing name is told at once, and no secret is shown', () => {
  const told = problemsOf({ ...sound, API_PORT: 'x', TEAM_ID_SECRET: 'short-one', NATS_URL: '' });
  expect(told).toMatch(/API_PORT/);
  expect(told).toMatch(/TEAM_ID_SECRET/);
  expect(told).toMatch(/NATS_URL/);
  expect(told).not.toMatch(/short-one|hidden/);
});

it('production takes no development issuer, and nobody runs without keys', () => {
  expect(problemsOf({ ...sound, DEV_JWT_JWKS: '/tmp/jwks.json' })).toMatch(/DEV_JWT_JWKS is only/);
  expect(problemsOf({ ...sound, DEV_ISSUER_KEY_FILE: '/tmp/key' })).toMatch(/DEV_ISSUER_KEY_FILE is only/);
  const { JWT_ISSUER: _, JWT_JWKS: __, ...keyless } = sound;
  expect(problemsOf(keyless)).toMatch(/JWT_JWKS is missing/);
  expect(problemsOf({ ...keyless, JWT_ISSUER: 'x' })).toMatch(/need each other/);
});

it('the read store that is chosen needs its URL, and only that', () => {
  const { READ_DATABASE_URL: _, ...storeless } = sound;
  expect(problemsOf(storeless)).toMatch(/READ_DATABASE_URL is missing/);
  const mongo = { ...storeless, READ_STORE: 'mongodb' };
  expect(problemsOf(mongo)).toMatch(/MONGODB_URL must be/);
  expect(problemsOf({ ...mongo, MONGODB_URL: 'postgres://u:hidden@h/x' })).toMatch(
    /^MONGODB_URL must be [^@]*$/,
  );
  expect(problemsOf({ ...mongo, MONGODB_URL: 'mongodb://u:hidden@h1:1,h2:2/?replicaSet=rs0' })).toBe('');
});
