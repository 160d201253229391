import { expect, it } from 'vitest';
import { encodeEvent } from './events.ts';
import { errorBody, errorCatalogue } from './errors.ts';
import { parseChannelId, parseCommandId, parseTeamId, parseUserId } from './ids.ts';
import { channelScope, cmdSubject, evtSubject, mbrSubject, parseEvtSubject } from './subjects.ts';

const commandId = parseCommandId('018f0000-0000-7000-8000-00000000000a')!;
const channelId = parseChannelId('018f0000-0000-7000-8000-000000000001')!;
const teamId = parseTeamId('03zzzzzzzzzzzzzz')!;
const alice = parseUserId('alice')!;

it('an encoded event is the JSON of its element, in the key order gateways scan', () => {
  const json = encodeEvent(7, 'message.sent', 1, 99, channelId, 3, commandId, 'hash', alice, '{"text":"x"}');
  expect(JSON.parse(json)).toEqual({
    seq: 7,
    type: 'message.sent',
    v: 1,
    at: 99,
    channelId,
    channelSeq: 3,
    commandId,
    hash: 'hash',
    actor: 'alice',
    data: { text: 'x' },
  });
  expect(Object.keys(JSON.parse(json) as object)).toEqual([
    'seq',
    'type',
    'v',
    'at',
    'channelId',
    'channelSeq',
    'commandId',
    'hash',
    'actor',
    'data',
  ]);
});

it('a part that does not apply is left out', () => {
  const json = encodeEvent(
    1,
    'team.created',
    1,
    5,
    undefined,
    undefined,
    commandId,
    'h',
    alice,
    '{"name":"n"}',
  );
  expect(JSON.parse(json)).not.toHaveProperty('channelId');
  expect(JSON.parse(json)).not.toHaveProperty('channelSeq');
});

it('subjects carry partition, team and scope, and are read back', () => {
  expect(cmdSubject(teamId, 'message.send')).toBe('cmd.3.03zzzzzzzzzzzzzz.message.send');
  expect(mbrSubject(teamId, alice)).toBe('mbr.3.03zzzzzzzzzzzzzz.alice');
  const subject = evtSubject(teamId, channelScope(channelId));
  expect(parseEvtSubject(subject)).toEqual({ partition: 3, teamId, scope: `c_${channelId}` });
  for (const bad of ['', 'evt.1.x', 'evt.1.x.t.more', 'cmd.1.x.t'])
    expect(parseEvtSubject(bad)).toBeUndefined();
});

it('every code has a sentence, an HTTP status of its class and says whether to retry', () => {
  for (const [code, spec] of Object.entries(errorCatalogue)) {
    expect(spec.message, code).toMatch(/\.$/);
    expect(spec.status, code).toBeGreaterThanOrEqual(400);
    if (spec.status === 429 || spec.status === 503) expect(spec.retryable, code).toBe(true);
  }
  expect(errorBody('RATE_LIMITED', { retryAfterMs: 5 })).toMatchObject({
    code: 'RATE_LIMITED',
    retryable: true,
    retryAfterMs: 5,
  });
});
