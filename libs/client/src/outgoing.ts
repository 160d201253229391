/**
 * One's own messages on their way, as a page shows them below the history: pending, then gone once the
 * message itself stands in the channel. A refused one stays, with its reason, until it is dismissed.
 */

import type { ErrorCode } from '@chat/contracts/errors';
import type { ChannelId } from '@chat/contracts/ids';
import type { StoredCommand } from './outbox.ts';
import type { Verdict } from './session-types.ts';

/** Refused messages that are kept for the user to see; the oldest goes. */
export const REFUSED_KEEP_COUNT = 100;

export type Outgoing = {
  readonly id: string;
  readonly channelId: ChannelId;
  readonly text: string;
  readonly submittedAtMs: number;
  readonly status: 'pending' | 'persisted' | 'refused';
  readonly refusal?: { readonly code: ErrorCode; readonly message: string };
};

export const createOutgoing = () => {
  const items = new Map<string, Outgoing & { readonly seq?: number }>();
  return {
    clear: (): void => items.clear(),
    add: (command: StoredCommand): void => {
      if (command.name !== 'message.send') return;
      const { channelId, text } = command.data as { channelId: ChannelId; text: string };
      items.set(command.id, {
        id: command.id,
        channelId,
        text,
        submittedAtMs: command.submittedAtMs,
        status: 'pending',
      });
    },
    verdict: (verdict: Verdict): void => {
      const item = items.get(verdict.id);
      if (!item) return;
      if (verdict.kind === 'persisted') {
        items.set(item.id, { ...item, status: 'persisted', seq: verdict.seq });
        return;
      }
      const { code, message } = verdict;
      items.set(item.id, { ...item, status: 'refused', refusal: { code, message } });
      const refused = [...items.values()].filter(({ status }) => status === 'refused');
      for (const { id } of refused.slice(0, -REFUSED_KEEP_COUNT)) items.delete(id);
    },
    /** Everything up to `seq` was applied: what was persisted by then stands in the channel itself. */
    applied: (seq: number): void => {
      for (const item of items.values()) if (item.seq !== undefined && item.seq <= seq) items.delete(item.id);
    },
    dismiss: (id: string): void => {
      if (items.get(id)?.status === 'refused') items.delete(id);
    },
    refused: (id: string): Outgoing | undefined => {
      const item = items.get(id);
      return item?.status === 'refused' ? item : undefined;
    },
    of: (channelId: ChannelId): readonly Outgoing[] =>
      [...items.values()].filter((item) => item.channelId === channelId),
  };
};
