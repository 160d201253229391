/** Refusals that have no place of their own on the page: of joining, leaving, adding. */

import { useEffect, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';

const SHOWN_MS = 8_000;
const SHOWN_MAX_COUNT = 3;

type Refusal = { readonly key: number; readonly words: string };

/** A read mark that came too late or twice is nobody's concern; a refused message shows it itself. */
const isSilent = (code: string): boolean => code.startsWith('READ_MARK') || code.startsWith('MSG_');

export const useRefusals = (client: ChatClient): readonly Refusal[] => {
  const [refusals, setRefusals] = useState<readonly Refusal[]>([]);
  useEffect(() => {
    let count = 0;
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const show = (words: string): void => {
      const refusal = { key: (count += 1), words };
      setRefusals((shown) => [...shown, refusal].slice(-SHOWN_MAX_COUNT));
      const timer = setTimeout(() => {
        timers.delete(timer);
        setRefusals((shown) => shown.filter(({ key }) => key !== refusal.key));
      }, SHOWN_MS);
      timers.add(timer);
    };
    const offs = [
      client.on('verdict', (verdict) => {
        if (verdict.kind === 'rejected' && !isSilent(verdict.code)) show(verdict.message);
      }),
      // What passes by itself is told by the banner, with the time it takes.
      client.on('error', ({ message, retryable, code }) => {
        if (!retryable && code !== 'AUTH_TOKEN_EXPIRED') show(message);
      }),
      client.on('fault', ({ where }) => {
        if (where === 'storage')
          show('This browser stores nothing (more): messages not yet sent live in this tab only.');
      }),
    ];
    return () => {
      offs.forEach((off) => off());
      timers.forEach(clearTimeout);
    };
  }, [client]);
  return refusals;
};

export const Toasts = ({ refusals }: { refusals: readonly Refusal[] }) => (
  <div class="toasts" role="status">
    {refusals.map(({ key, words }) => (
      <p key={key}>{words}</p>
    ))}
  </div>
);
