import { FRAME_MAX_BYTES } from '@chat/contracts/limits';
import { describe, expect, it } from 'vitest';
import { OUTBOX_MAX_BYTES, OUTBOX_MAX_COUNT, createOutbox, laneOf } from './outbox.ts';

const command = (id: string, text = 'x') => ({
  id,
  name: 'message.send' as const,
  data: { channelId: 'c', text },
  submittedAtMs: 0,
});

describe('the outbox', () => {
  it('refuses a command over its count, and has room again when one is settled', () => {
    const outbox = createOutbox(Math.random);
    for (let i = 0; i < OUTBOX_MAX_COUNT; i += 1) expect(outbox.add(command(`${i}`))).toBeUndefined();
    expect(outbox.add(command('over'))?.code).toBe('OUTBOX_FULL');
    outbox.settle('0');
    expect(outbox.add(command('fits'))).toBeUndefined();
  });

  it('refuses a command over its bytes', () => {
    const outbox = createOutbox(Math.random);
    const text = 'x'.repeat(32_000);
    let count = 0;
    while (!outbox.add(command(`${count}`, text))) count += 1;
    expect(count).toBe(
      Math.floor(
        OUTBOX_MAX_BYTES /
          (32_000 + '{"t":"cmd","id":"10","name":"message.send","data":{"channelId":"c","text":""}}'.length),
      ),
    );
  });

  it('refuses a frame that no gateway would read, since its refusal could not name it', () => {
    const outbox = createOutbox(Math.random);
    expect(outbox.add(command('long', '\u0001'.repeat(FRAME_MAX_BYTES / 6)))?.code).toBe('FRAME_TOO_LARGE');
    expect(outbox.size()).toBe(0);
  });

  it('puts a new channel and its first message in one lane', () => {
    const created = laneOf({ id: 'c', name: 'channel.create', data: { kind: 'public', name: 'n' } });
    expect(laneOf(command('m'))).toBe(created);
  });

  it('lets a newer read mark take the place of one that was never sent', () => {
    const outbox = createOutbox(Math.random);
    const mark = (id: string, channelSeq: number) => ({
      id,
      name: 'read.mark' as const,
      data: { channelId: 'c', channelSeq },
      submittedAtMs: 0,
    });
    outbox.add(mark('r1', 1));
    outbox.takeDue(0, 10);
    outbox.add(mark('r2', 2));
    outbox.supersedeReadMarks('read:c');
    outbox.add(mark('r3', 3));
    expect(outbox.list().map(({ id }) => id)).toEqual(['r1', 'r3']);
  });
});
