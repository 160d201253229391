/** Ten bugs of designs like this one, each of which the fault suite must catch within a minute. */

import type { Mutant } from './mutant.ts';

const commandQueue = 'apps/gateway/src/command/command-queue.ts';
const decideBatch = 'apps/writer/src/batch/decide-batch.ts';
const relay = 'apps/writer/src/relay/relay.ts';
const writeSide = 'apps/writer/src/migrations/0001-write-side.ts';

export const allMutants: readonly Mutant[] = [
  {
    name: 'ack-before-puback',
    about: 'The gateway says accepted before the broker has the command, and does not publish it again.',
    nemesis: 'kill-nats',
    patches: [
      {
        file: commandQueue,
        app: 'gateway',
        find: '      outcomes.add(waiter);\n',
        replace:
          '      outcomes.add(waiter);\n      if (waiter.session.isJoined) sendWithNext(waiter.session, acceptedFrame(waiter.id));\n',
      },
      {
        file: commandQueue,
        app: 'gateway',
        find: "    const isOver = nowMs() - waiter.firstTriedAtMs >= GIVE_UP_AFTER_MS;\n    if (result.kind === 'closed' || isOver || !session.isOpen)\n      return refuseAll(session, 'UNAVAILABLE', UNAVAILABLE_RETRY_AFTER_MS);\n",
        replace: '    dequeue(session);\n    if (session.queue.size >= 0) return publishNext(session);\n',
      },
    ],
    caughtBy: ['ACCEPTED_WITHOUT_OUTCOME', 'NO_OUTCOME', 'PERSISTED_LOST'],
  },
  {
    name: 'dedupe-off',
    about: 'No Nats-Msg-Id that repeats, and no unique command id: a repeat is a second message.',
    nemesis: 'kill-gateway',
    patches: [
      {
        file: commandQueue,
        app: 'gateway',
        find: 'const msgId = commandMsgId(session.userId, waiter.id, waiter.hash);',
        replace: 'const msgId = `${commandMsgId(session.userId, waiter.id, waiter.hash)}.${Math.random()}`;',
      },
      { file: decideBatch, app: 'writer', find: '  if (first) {\n', replace: '  if (first && !first) {\n' },
      {
        file: 'apps/writer/src/batch/commit-batch.ts',
        app: 'writer',
        find: '    plain(c.command),\n',
        replace: '    plain(c.command.map(() => globalThis.crypto.randomUUID())),\n',
      },
    ],
    caughtBy: ['MESSAGE_DOUBLED'],
  },
  {
    name: 'resume-off-by-one',
    about: 'A resume begins one event behind the one after the cursor.',
    nemesis: 'reconnect-storm',
    patches: [
      {
        file: 'apps/gateway/src/session/hello.ts',
        app: 'gateway',
        find: 'planFromTail(session, plan.upToSeq, deps',
        replace: 'planFromTail(session, plan.upToSeq + 1, deps',
      },
    ],
    caughtBy: ['RESUME_GAP', 'NOT_DELIVERED'],
  },
  {
    name: 'subscribe-after-history',
    about: 'A session joins live fan-out a moment after its replay has ended.',
    nemesis: 'reconnect-storm',
    patches: [
      {
        file: 'apps/gateway/src/resume/replayer.ts',
        app: 'gateway',
        find: '      return;\n    }\n    goLive(session);\n',
        replace:
          "      return;\n    }\n    session.state = 'live';\n    setTimeout(() => session.isOpen && goLive(session), 80);\n",
      },
    ],
    caughtBy: ['RESUME_GAP', 'NOT_DELIVERED'],
  },
  {
    name: 'no-unsubscribe-on-removal',
    about: 'Who is removed from a channel stays in its fan-out.',
    nemesis: 'kill-api',
    patches: [
      {
        file: 'apps/gateway/src/fanout/user-events.ts',
        app: 'gateway',
        find: 'if (isLive) replayer.leaveScope(session, evtSubject(session.teamId, channelScope(change.channelId)));',
        replace: '',
      },
    ],
    caughtBy: ['LEAKED'],
  },
  {
    name: 'replay-before-since',
    about: 'A replay of a channel begins at the cursor, also when the user joined later.',
    nemesis: 'reconnect-storm',
    patches: [
      {
        file: 'apps/gateway/src/resume/membership-intervals.ts',
        app: 'gateway',
        find: 'close(channelId, openSince.get(channelId) ?? Math.max(fromSeq, sinceSeq), toSeq);',
        replace: 'close(channelId, Math.min(fromSeq, sinceSeq), toSeq);',
      },
    ],
    caughtBy: ['LEAKED'],
  },
  {
    name: 'checkpoint-before-write',
    about: 'The projector commits its checkpoint, and writes the batch a moment later.',
    nemesis: 'kill-projector',
    patches: [
      {
        file: 'libs/read-model/src/postgres/postgres-read-model.ts',
        app: 'projector',
        find: '    applyBatch: createBatchApplier(pool, schema),\n',
        replace: `    applyBatch: ((apply) => async (batch: Parameters<ReadModel['applyBatch']>[0]) => {
      const early = await apply({ ...batch, events: [] });
      if (early.kind !== 'applied') return early;
      await new Promise((resolve) => setTimeout(resolve, 60));
      await pool.query(\`UPDATE \${schema}.checkpoint SET seq = $2 WHERE p = $1 AND seq = $3\`, [
        batch.partition,
        batch.afterSeq,
        batch.upTo,
      ]);
      return apply(batch);
    })(createBatchApplier(pool, schema)),
`,
      },
    ],
    caughtBy: ['API_LOST', 'UNREAD_WRONG', 'READ_STALE'],
  },
  {
    name: 'relay-skips-a-row',
    about: 'After a doubt the relay goes on one row too far.',
    nemesis: 'kill-nats',
    patches: [
      {
        file: relay,
        app: 'writer',
        find: '      const chunk = await nextChunk(at + 1);\n',
        replace: '      const chunk = skipFirst(await nextChunk(at + 1));\n',
      },
      {
        file: relay,
        app: 'writer',
        find: '    burst(events, (result) => {\n',
        replace: '    burst(skipFirst(events), (result) => {\n',
      },
      {
        file: relay,
        app: 'writer',
        find: '    round += 1;\n',
        replace: '    round += 1;\n    isSkipDue = true;\n',
      },
      {
        file: relay,
        app: 'writer',
        find: '/** Event n expects n − 1. */\n',
        replace: `let isSkipDue = false;
const skipFirst = (events: readonly RelayEvent[]): readonly RelayEvent[] => {
  const [first, second] = events;
  if (!isSkipDue || !first || !second) return events;
  isSkipDue = false;
  return [{ ...first, subject: second.subject, payload: second.payload }, ...events.slice(1)];
};

/** Event n expects n − 1. */
`,
      },
    ],
    caughtBy: ['STREAM_DIFFERS', 'NOT_DELIVERED', 'DELIVERED_DIFFERS', 'DELIVERED_TWICE'],
  },
  {
    name: 'commit-not-fenced',
    about:
      'A writer that woke up commits although another owns the partition (every second line of defence is off too: keys, the look at the lease, the look at the stream).',
    nemesis: 'pause-writer',
    patches: [
      {
        file: 'libs/platform/src/lease/lease-keeper.ts',
        app: 'writer',
        find: '      if (owned.get(p) === ownerEpoch) continue;\n',
        replace: '      if (owned.get(p) === ownerEpoch || held.has(p)) continue;\n',
      },
      {
        file: writeSide,
        app: 'writer',
        find: 'WHERE t.p = u.p AND t.owner = a_owner AND t.owner_epoch = u.owner_epoch AND t.next_id = u.expected\n    AND t.halted IS NULL;',
        replace: 'WHERE t.p = u.p AND t.halted IS NULL;',
      },
      {
        file: relay,
        app: 'writer',
        find: '      if (at > committed) deps.onAhead(at, committed);\n',
        replace: '',
      },
      {
        file: writeSide,
        app: 'writer',
        find: '  SELECT * FROM unnest(c_p, c_team, c_command, c_actor, c_hash, c_event, c_seq, c_code);',
        replace:
          '  SELECT * FROM unnest(c_p, c_team, c_command, c_actor, c_hash, c_event, c_seq, c_code) ON CONFLICT DO NOTHING;',
      },
      {
        file: writeSide,
        app: 'writer',
        find: "    string_to_array(e_payloads, E'\\n'));",
        replace: "    string_to_array(e_payloads, E'\\n')) ON CONFLICT DO NOTHING;",
      },
    ],
    caughtBy: [
      'PERSISTED_LOST',
      'PERSISTED_ELSEWHERE',
      'CHANNEL_SEQ_BROKEN',
      'STREAM_DIFFERS',
      'LOG_GAP',
      'COMMAND_ROW_WRONG',
    ],
  },
  {
    name: 'channel-seq-by-gateway',
    about: 'The gateway numbers the messages of a channel, not the writer.',
    nemesis: 'kill-gateway',
    patches: [
      {
        file: 'apps/gateway/src/command/command-entry.ts',
        app: 'gateway',
        find: 'export const createCommandEntry = (deps: CommandEntryDeps): CommandEntry => {\n',
        replace: `const numbers = new Map<string, number>();
const numbered = (wish: CommandWish, dataJson: string): string => {
  if (wish.name !== 'message.send') return dataJson;
  const number = (numbers.get(wish.data.channelId) ?? 0) + 1;
  numbers.set(wish.data.channelId, number);
  return dataJson.replace('{', \`{"channelSeq":\${number},\`);
};

export const createCommandEntry = (deps: CommandEntryDeps): CommandEntry => {
`,
      },
      {
        file: 'apps/gateway/src/command/command-entry.ts',
        app: 'gateway',
        find: 'wish.name, nowMs(), dataJson)),',
        replace: 'wish.name, nowMs(), numbered(wish, dataJson))),',
      },
      {
        file: 'apps/writer/src/intake/decode-command.ts',
        app: 'writer',
        find: '  return { channelId, text };\n',
        replace:
          '  return { channelId, text, channelSeq: (data as { channelSeq?: number }).channelSeq } as object;\n',
      },
      {
        file: 'libs/domain/src/decide.ts',
        app: 'writer',
        find: '      channelSeq: channel.lastChannelSeq + 1,\n',
        replace:
          '      channelSeq: (command.data as { channelSeq?: number }).channelSeq ?? channel.lastChannelSeq + 1,\n',
      },
    ],
    caughtBy: ['CHANNEL_SEQ_BROKEN'],
  },
];

export const findMutant = (name: string): Mutant | undefined =>
  allMutants.find((mutant) => mutant.name === name);
