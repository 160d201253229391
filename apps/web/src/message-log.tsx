/**
 * The history of one channel, growing at both ends: older pages when scrolled up (the place one reads stays
 * where it is), new messages at the end (followed only by who is at the end). Own messages that do not stand
 * in the channel yet come last.
 */

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';
import type { Channel } from '@chat/client/store';
import type { UserId } from '@chat/contracts/ids';
import { countOf, dayKeyOf, dayOf } from './format.ts';
import { Message, OutgoingMessage } from './message.tsx';

type Props = {
  readonly client: ChatClient;
  readonly channel: Channel;
  readonly me: UserId;
  readonly onAtEnd: (isAtEnd: boolean) => void;
  readonly onEditAgain: (text: string) => void;
};

/** Within this distance of the end (or the beginning) one counts as being there. */
const NEAR_END_PX = 80;
const NEAR_START_PX = 300;
/** Messages of one author within this time stand under one name. */
const GROUP_WITHIN_MS = 5 * 60_000;

const useOlder = (
  client: ChatClient,
  channel: Channel,
): { isLoading: boolean; failure: string; load: () => void } => {
  const [isLoading, setLoading] = useState(false);
  const [failure, setFailure] = useState('');
  const load = (): void => {
    if (isLoading || !client.hasMoreBefore(channel.id) || client.messages(channel.id).length === 0) return;
    setLoading(true);
    void client.loadOlder(channel.id).then((result) => {
      setLoading(false);
      setFailure(result.ok ? '' : result.error.message);
    });
  };
  return { isLoading, failure, load };
};

export const MessageLog = ({ client, channel, me, onAtEnd, onEditAgain }: Props) => {
  const messages = client.messages(channel.id);
  const outgoing = client
    .outgoing(channel.id)
    .filter(({ id }) => !messages.some((message) => message.id === id));
  const boxRef = useRef<HTMLDivElement>(null);
  /** What was drawn last: to keep the reading place when older messages come before it. */
  const drawn = useRef({ first: 0, last: 0, height: 0, isAtEnd: true });
  const [newCount, setNewCount] = useState(0);
  const older = useOlder(client, channel);

  const first = messages[0]?.channelSeq ?? 0;
  const last = messages.at(-1)?.channelSeq ?? 0;

  const toEnd = (): void => {
    const box = boxRef.current;
    if (box) box.scrollTop = box.scrollHeight;
  };

  useLayoutEffect(() => {
    const box = boxRef.current;
    if (!box) return;
    const before = drawn.current;
    if (before.isAtEnd) toEnd();
    else if (before.first > 0 && first > 0 && first < before.first) {
      box.scrollTop += box.scrollHeight - before.height;
    } else if (last > before.last && before.last > 0) {
      setNewCount(
        (count) =>
          count + messages.filter(({ channelSeq, actor }) => channelSeq > before.last && actor !== me).length,
      );
    }
    drawn.current = { ...before, first, last, height: box.scrollHeight };
    // A page that does not fill the box leaves nothing to scroll: read on.
    if (box.scrollHeight <= box.clientHeight + NEAR_START_PX && messages.length > 0 && !older.failure)
      older.load();
  }, [first, last, messages.length, outgoing.length, older.isLoading]);

  // What stands above or below takes room from the history: who was at the end stays there.
  useEffect(() => {
    const box = boxRef.current;
    if (!box) return undefined;
    const observer = new ResizeObserver(() => {
      if (drawn.current.isAtEnd) toEnd();
    });
    observer.observe(box);
    return () => observer.disconnect();
  }, []);

  const scrolled = (): void => {
    const box = boxRef.current;
    if (!box) return;
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
    if (isAtEnd !== drawn.current.isAtEnd) onAtEnd(isAtEnd);
    drawn.current.isAtEnd = isAtEnd;
    if (isAtEnd && newCount > 0) setNewCount(0);
    if (box.scrollTop < NEAR_START_PX) older.load();
  };

  const isComplete = messages.length > 0 && !client.hasMoreBefore(channel.id);
  return (
    <div class="log-place">
      <div ref={boxRef} class="log" tabIndex={0} role="region" aria-label="Messages" onScroll={scrolled}>
        {older.isLoading && <p class="log-note">Reading older messages…</p>}
        {older.failure && (
          <p class="log-note failure">
            {older.failure}{' '}
            <button type="button" class="quiet" onClick={older.load}>
              Try again
            </button>
          </p>
        )}
        {isComplete && <p class="log-note">This is where it began.</p>}
        {messages.length === 0 && outgoing.length === 0 && (
          <p class="log-note">
            {channel.lastChannelSeq === 0
              ? 'Nothing has been said here yet. Say hello!'
              : 'Reading the history…'}
          </p>
        )}
        <ol class="messages">
          {messages.map((message, i) => {
            const previous = messages[i - 1];
            const isNewDay = !previous || dayKeyOf(previous.at) !== dayKeyOf(message.at);
            const isGrouped =
              !isNewDay && previous.actor === message.actor && message.at - previous.at < GROUP_WITHIN_MS;
            return (
              <Message
                key={message.id}
                message={message}
                day={isNewDay ? dayOf(message.at, Date.now()) : ''}
                isGrouped={isGrouped}
                isMine={message.actor === me}
              />
            );
          })}
          {outgoing.map((item) => (
            <OutgoingMessage
              key={item.id}
              item={item}
              me={me}
              onDismiss={() => client.dismiss(item.id)}
              onSendAgain={() => {
                const result = client.sendAgain(item.id);
                return result && !result.ok ? result.refusal.message : '';
              }}
              onEditAgain={() => {
                client.dismiss(item.id);
                onEditAgain(item.text);
              }}
            />
          ))}
        </ol>
      </div>
      {newCount > 0 && (
        <button type="button" class="to-end primary" onClick={toEnd}>
          ↓ {countOf(newCount, 'new message')}
        </button>
      )}
    </div>
  );
};
