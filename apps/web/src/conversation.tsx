import { useEffect, useRef, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';
import type { Channel } from '@chat/client/store';
import type { UserId } from '@chat/contracts/ids';
import { ChannelSign } from './channel-sign.tsx';
import { Composer } from './composer.tsx';
import { ConnectionBanner } from './connection.tsx';
import { channelTitle, countOf, displayName } from './format.ts';
import { Members } from './members.tsx';
import { MessageLog } from './message-log.tsx';

type Props = {
  readonly client: ChatClient;
  readonly channel: Channel;
  readonly me: UserId;
  readonly onBack: () => void;
};

/** At most one read mark in this time, so that reading along does not cost a command a message. */
const READ_MARK_EVERY_MS = 1_000;

/** Says new messages of others to a screen reader; older ones that are scrolled to are not said. */
const useAnnouncement = (client: ChatClient, channel: Channel, me: UserId): string => {
  const [words, setWords] = useState('');
  useEffect(() => {
    let last = channel.lastChannelSeq;
    return client.on('message', (message) => {
      if (message.channelId !== channel.id || message.channelSeq <= last) return;
      last = message.channelSeq;
      if (message.actor !== me) setWords(`${displayName(message.actor)}: ${message.text}`);
    });
  }, [client, channel.id]);
  return words;
};

const useReadMarks = (client: ChatClient, channel: Channel, isAtEnd: boolean): void => {
  const last = client.messages(channel.id).at(-1)?.channelSeq ?? 0;
  const markedAtMs = useRef(0);
  useEffect(() => {
    if (!isAtEnd || last <= channel.readUpTo || channel.role === undefined) return undefined;
    const mark = (): void => {
      if (document.visibilityState !== 'visible') return;
      markedAtMs.current = Date.now();
      client.markRead(channel.id, last);
    };
    const timer = setTimeout(mark, Math.max(0, markedAtMs.current + READ_MARK_EVERY_MS - Date.now()));
    document.addEventListener('visibilitychange', mark);
    return () => {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', mark);
    };
  }, [client, channel.id, channel.readUpTo, channel.role, last, isAtEnd]);
};

export const Conversation = ({ client, channel, me, onBack }: Props) => {
  const [isAtEnd, setAtEnd] = useState(true);
  const [showsMembers, setShowsMembers] = useState(false);
  const [failure, setFailure] = useState('');
  const [handedBack, setHandedBack] = useState<string>();
  const composerRef = useRef<HTMLTextAreaElement>(null);
  const announcement = useAnnouncement(client, channel, me);
  useReadMarks(client, channel, isAtEnd);

  useEffect(() => {
    setFailure('');
    void client.openChannel(channel.id).then((result) => setFailure(result.ok ? '' : result.error.message));
    // On a phone the keyboard would cover what one came to read.
    if (!matchMedia('(pointer: coarse)').matches) composerRef.current?.focus();
    return () => client.closeChannel(channel.id);
  }, [client, channel.id]);

  const title = channelTitle(channel);
  const isMember = channel.role !== undefined;
  return (
    <section class="conversation" aria-label={`Channel ${title}`}>
      <header class="conversation-head">
        <button type="button" class="quiet back" onClick={onBack} aria-label="Back to the channels">
          ←
        </button>
        <h2>
          <ChannelSign kind={channel.kind} />
          {title}
        </h2>
        <button
          type="button"
          class="quiet"
          aria-expanded={showsMembers}
          onClick={() => setShowsMembers(!showsMembers)}
        >
          Members
        </button>
        {isMember && channel.kind !== 'direct' && (
          <button
            type="button"
            class="quiet"
            onClick={() => client.command('channel.leave', { channelId: channel.id })}
          >
            Leave
          </button>
        )}
      </header>
      {showsMembers && <Members client={client} channelId={channel.id} me={me} />}
      {failure && (
        <p class="failure" role="alert">
          The history cannot be read: {failure}
        </p>
      )}
      <MessageLog
        client={client}
        channel={channel}
        me={me}
        onAtEnd={setAtEnd}
        onEditAgain={(text) => {
          setHandedBack(text);
          composerRef.current?.focus();
        }}
      />
      <p class="only-heard" aria-live="polite">
        {announcement}
      </p>
      <ConnectionBanner client={client} />
      {isMember ? (
        <Composer
          inputRef={composerRef}
          channelId={channel.id}
          placeholder={`Message ${channel.kind === 'direct' ? '' : '#'}${title}`}
          handedBack={handedBack}
          onTaken={() => setHandedBack(undefined)}
          send={(text) => client.send(channel.id, text)}
        />
      ) : (
        <div class="join-bar">
          <p>
            You are reading along
            {channel.lastChannelSeq > 0 && ` (${countOf(channel.lastChannelSeq, 'message')})`}.
          </p>
          <button
            type="button"
            class="primary"
            onClick={() => client.command('channel.join', { channelId: channel.id })}
          >
            Join {title}
          </button>
        </div>
      )}
    </section>
  );
};
