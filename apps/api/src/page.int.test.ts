import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTokenVerifier } from '@chat/platform/auth/tokens';
import { createLogger } from '@chat/platform/log';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import type { ReadModel } from '@chat/read-model/port';
import { createPostgresReadModel } from '@chat/read-model/postgres/postgres-read-model';
import { createPostgresSearchModel } from '@chat/read-model/search/postgres/postgres-search';
import { createMetrics } from '@chat/platform/metrics';
import { createPool } from '@chat/platform/postgres/pool';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { type TestDatabase, newDatabase, testNats } from '@chat/testkit/servers/servers';
import type pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { API_INBOX_PREFIX, type Api, createApi } from './api.ts';
import { readApiConfig } from './config.ts';

const log = createLogger({ app: 'test', instance: 'api', level: 'silent' });
let nats: NatsServer;
let handle: NatsHandle;
let database: TestDatabase;
let pool: pg.Pool;
let readModel: ReadModel;
let folder: string;
let api: Api;
let url: string;

/** As in production: no development issuer; the page in WEB_ROOT; one other origin may call. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat page '));
  await mkdir(join(folder, 'assets'));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>chat</title>');
  await writeFile(join(folder, 'assets', 'app-1a2b.js'), 'export {};');
  await writeFile(join(folder, '..', 'chat-outside.txt'), 'outside');
  nats = await testNats();
  database = await newDatabase();
  const { user, password } = nats.credentials.api;
  handle = await connectNats({
    servers: [nats.url],
    user,
    password,
    name: 'api',
    inboxPrefix: API_INBOX_PREFIX,
    log,
  });
  pool = createPool({ url: database.url, max: 2, name: 'api', statementTimeoutMs: 5_000, log });
  readModel = createPostgresReadModel({ pool });
  const config = readApiConfig({
    NATS_URL: nats.url,
    READ_DATABASE_URL: database.url,
    JWT_ISSUER: 'https://id.example',
    JWT_JWKS: join(folder, 'jwks.json'),
    TEAM_ID_SECRET: 'a secret of enough length',
    API_PORT: '0',
    WEB_ROOT: folder,
    ALLOWED_ORIGINS: 'https://app.example',
    GATEWAY_URLS: 'wss://ws.example/base',
  });
  const verifier = createTokenVerifier({
    issuers: [
      { issuer: 'https://id.example', audience: config.JWT_AUDIENCE, jwks: join(folder, 'jwks.json') },
    ],
  });
  const search = createPostgresSearchModel({ pool, schema: 'chat_search_v1' });
  api = createApi({ config, nats: handle, readModel, search, verifier, metrics: createMetrics(), log });
  await api.start();
  url = `http://127.0.0.1:${api.port()}`;
});
afterAll(async () => {
  await api.stop();
  await handle.close();
  await pool.end();
  await database.drop();
  await nats[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
  await rm(join(tmpdir(), 'chat-outside.txt'), { force: true });
});

it('the page is served, its hashed parts for ever, itself never from a stale cache', async () => {
  const page = await fetch(url);
  expect(page.status).toBe(200);
  expect(await page.text()).toContain('<title>chat</title>');
  expect(page.headers.get('cache-control')).toBe('no-cache');
  expect(page.headers.get('content-security-policy')).toMatch(
    /default-src 'self'.*connect-src 'self' wss:\/\/ws.example[; ]/,
  );
  expect(page.headers.get('strict-transport-security')).toBeTruthy();
  const asset = await fetch(`${url}/assets/app-1a2b.js`);
  expect(asset.headers.get('cache-control')).toMatch(/immutable/);
  expect(asset.headers.get('content-type')).toMatch(/javascript/);
});

it.each([
  '/missing.js',
  '/../chat-outside.txt',
  '/..%2fchat-outside.txt',
  '/%2e%2e/chat-outside.txt',
  '/assets/',
])('nothing but the page is served: %s', async (path) => {
  const answer = await fetch(url + path);
  const body = (await answer.json()) as { code: string };
  expect([403, 404]).toContain(answer.status);
  expect(['NOT_FOUND', 'FORBIDDEN']).toContain(body.code);
});

it('the development issuer does not exist in production', async () => {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/dev/token`, { method: 'POST', headers, body: '{"user":"alice"}' });
  expect(answer.status).toBe(404);
  expect(await (await fetch(`${url}/api/v1/client-config`)).json()).toEqual({
    gateways: ['wss://ws.example/base'],
    demoUsers: [],
  });
});

it('only listed origins may call from a browser', async () => {
  const preflight = (origin: string) =>
    fetch(`${url}/api/v1/messages`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });
  const allowed = await preflight('https://app.example');
  expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example');
  const refused = await preflight('https://evil.example');
  expect(refused.headers.get('access-control-allow-origin')).toBeNull();
});

it('keys that cannot be read are the service’s trouble, not the token’s', async () => {
  const payload = Buffer.from('{"iss":"https://id.example"}').toString('base64url');
  const head = Buffer.from('{"alg":"EdDSA","kid":"x"}').toString('base64url');
  const answer = await fetch(`${url}/api/v1/teams`, {
    headers: { authorization: `Bearer ${head}.${payload}.AAAA` },
  });
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
});

it('without its store it is alive and not ready, and says why', async () => {
  const answer = await fetch(`${url}/health/readiness`);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({
    checks: { nats: { ok: true }, store: { ok: false, reason: expect.stringContaining('checkpoint') } },
  });
});
