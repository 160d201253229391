import { useState } from 'preact/hooks';
import { memo } from './memo.ts';
import type { Outgoing } from '@chat/client/outgoing';
import type { MessageView } from '@chat/contracts/http';
import type { UserId } from '@chat/contracts/ids';
import { Avatar } from './avatar.tsx';
import { displayName, isoOf, timeOf } from './format.ts';

const Mark = ({ isSaved }: { isSaved: boolean }) => (
  <span
    class={isSaved ? 'mark is-saved' : 'mark'}
    role="img"
    aria-label={isSaved ? 'saved' : 'sending'}
    title={isSaved ? 'Saved: it will not be lost' : 'On its way: it is kept until it is saved'}
  >
    {isSaved ? '✓' : '◌'}
  </span>
);

type MessageProps = {
  readonly message: MessageView;
  /** The day's name above the first message of a day, else ''. */
  readonly day: string;
  /** Stands under the name of the message before. */
  readonly isGrouped: boolean;
  readonly isMine: boolean;
};

export const Message = memo(({ message, day, isGrouped, isMine }: MessageProps) => (
  <li class={`message ${isGrouped ? 'is-grouped' : ''}`} data-seq={message.channelSeq}>
    {day && (
      <p class="day">
        <span>{day}</span>
      </p>
    )}
    {!isGrouped && <Avatar userId={message.actor} />}
    <div class="message-words">
      <p class={isGrouped ? 'only-heard' : 'byline'}>
        <strong>{displayName(message.actor)}</strong>{' '}
        <time dateTime={isoOf(message.at)}>{timeOf(message.at)}</time>
      </p>
      <p class="text" dir="auto">
        {message.text}
      </p>
    </div>
    {isMine && <Mark isSaved />}
  </li>
));

type OutgoingProps = {
  readonly item: Outgoing;
  readonly me: UserId;
  readonly onDismiss: () => void;
  readonly onEditAgain: () => void;
  /** Answers why it could not be taken, or ''. */
  readonly onSendAgain: () => string;
};

export const OutgoingMessage = ({ item, me, onDismiss, onEditAgain, onSendAgain }: OutgoingProps) => {
  const [failure, setFailure] = useState('');
  const isRefused = item.status === 'refused';
  return (
    <li class={`message ${isRefused ? 'is-refused' : 'is-pending'}`}>
      <Avatar userId={me} />
      <div class="message-words">
        <p class="byline">
          <strong>{displayName(me)}</strong>{' '}
          {isRefused ? (
            'not sent'
          ) : (
            <time dateTime={isoOf(item.submittedAtMs)}>{timeOf(item.submittedAtMs)}</time>
          )}
        </p>
        <p class="text" dir="auto">
          {item.text}
        </p>
        {item.refusal && (
          <div class="refusal" role="alert">
            <p>{failure || item.refusal.message}</p>
            <button type="button" class="quiet" onClick={() => setFailure(onSendAgain())}>
              Send again
            </button>
            <button type="button" class="quiet" onClick={onEditAgain}>
              Edit again
            </button>
            <button type="button" class="quiet" onClick={onDismiss}>
              Dismiss
            </button>
          </div>
        )}
      </div>
      {!isRefused && <Mark isSaved={item.status === 'persisted'} />}
    </li>
  );
};
