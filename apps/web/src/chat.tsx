/**
 * The chat of one user: channels beside one conversation; on a phone one of the two at a time. Which channel
 * is open stands in the address.
 */

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { ChannelId } from '@chat/contracts/ids';
import type { Session } from './boot.ts';
import { ChannelList } from './channel-list.tsx';
import { Connection } from './connection.tsx';
import { Conversation } from './conversation.tsx';
import { Avatar } from './avatar.tsx';
import { displayName } from './format.ts';
import { NewChannel } from './new-channel.tsx';
import { Search } from './search.tsx';
import { Toasts, useRefusals } from './toasts.tsx';
import { useClient } from './use-client.ts';

type Props = {
  readonly session: Session;
  readonly channelId: ChannelId | undefined;
  readonly onOpen: (channelId: ChannelId | undefined) => void;
  readonly onLeave: () => void;
};

/** Below this width one of list and conversation is shown (the same number stands in style.css). */
const NARROW = '(max-width: 719px)';

export const Chat = ({ session, channelId, onOpen, onLeave }: Props) => {
  const { client, userId, teamName } = session;
  const [isCreating, setCreating] = useState(false);
  const listRef = useRef<HTMLElement>(null);
  const refusals = useRefusals(client);
  useClient(client);

  const channels = client.channels();
  const channel = channelId && client.channel(channelId);
  const unreadCount = channels.reduce((sum, { unreadCount: count }) => sum + count, 0);

  const nothingOpen = !channelId
    ? 'Pick a channel to read and write.'
    : client.state().kind === 'live'
      ? 'There is no such channel, or you are not in it (any longer).'
      : 'Looking for this channel…';

  // A wide page always shows a conversation: the first that we are in.
  const first = channels.find(({ role }) => role !== undefined)?.id;
  useEffect(() => {
    if (!channelId && first && !matchMedia(NARROW).matches) onOpen(first);
  }, [channelId, first]);

  useEffect(() => {
    const place = channel?.name ? `#${channel.name} · ` : '';
    document.title = `${unreadCount > 0 ? `(${unreadCount}) ` : ''}${place}RealTimeChat`;
  }, [unreadCount, channel?.name]);

  // The machine tells when the network is back or the page is seen again.
  useEffect(() => {
    const nudge = (): void => {
      if (document.visibilityState === 'visible') client.nudge();
    };
    addEventListener('online', nudge);
    document.addEventListener('visibilitychange', nudge);
    return () => {
      removeEventListener('online', nudge);
      document.removeEventListener('visibilitychange', nudge);
    };
  }, [client]);

  const back = useCallback(() => {
    onOpen(undefined);
    requestAnimationFrame(() => listRef.current?.querySelector<HTMLElement>('button[data-channel]')?.focus());
  }, [onOpen]);

  return (
    <div class={`chat ${channelId ? 'shows-conversation' : 'shows-list'}`}>
      <aside ref={listRef} class="sidebar" aria-label="Channels and connection">
        <header class="team">
          <img src="/favicon.svg" alt="" width="28" height="28" />
          <h1>{teamName}</h1>
        </header>
        <Search client={client} onOpen={onOpen} />
        <ChannelList
          channels={channels}
          openId={channelId}
          onOpen={onOpen}
          onCreate={() => setCreating(true)}
          onJoin={(id) => {
            client.command('channel.join', { channelId: id });
            onOpen(id);
          }}
        />
        <footer class="self">
          <Avatar userId={userId} />
          <div class="self-words">
            <strong>{displayName(userId)}</strong>
            <Connection client={client} />
          </div>
          <button type="button" class="quiet" onClick={onLeave}>
            Switch user
          </button>
        </footer>
      </aside>
      <main class="conversation-place">
        {channelId && channel ? (
          <Conversation key={channelId} client={client} channel={channel} me={userId} onBack={back} />
        ) : (
          <div class="nothing-open">
            <p>{nothingOpen}</p>
            {channelId && (
              <button type="button" class="quiet" onClick={back}>
                Back to the channels
              </button>
            )}
          </div>
        )}
      </main>
      {isCreating && (
        <NewChannel
          client={client}
          onClose={(id) => {
            setCreating(false);
            if (id) onOpen(id);
          }}
        />
      )}
      <Toasts refusals={refusals} />
    </div>
  );
};
