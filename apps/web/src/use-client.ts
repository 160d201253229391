/** Redraws when the client changes, at most once a frame. */

import { useEffect, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';

export const useClient = (client: ChatClient): void => {
  const [, redraw] = useState(0);
  useEffect(() => {
    let frame = 0;
    const off = client.on('change', () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        redraw((count) => count + 1);
      });
    });
    redraw((count) => count + 1);
    return () => {
      off();
      cancelAnimationFrame(frame);
    };
  }, [client]);
};

/** Redraws every `everyMs` while `isOn`: for countdowns. */
export const useTicking = (isOn: boolean, everyMs: number): void => {
  const [, redraw] = useState(0);
  useEffect(() => {
    if (!isOn) return undefined;
    const timer = setInterval(() => redraw((count) => count + 1), everyMs);
    return () => clearInterval(timer);
  }, [isOn, everyMs]);
};
