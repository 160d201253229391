import type { Channel } from '@chat/client/store';
import type { ChannelId } from '@chat/contracts/ids';
import { ChannelSign } from './channel-sign.tsx';
import { channelTitle, countOf } from './format.ts';

type Props = {
  readonly channels: readonly Channel[];
  readonly openId: ChannelId | undefined;
  readonly onOpen: (channelId: ChannelId) => void;
  readonly onJoin: (channelId: ChannelId) => void;
  readonly onCreate: () => void;
};

const byTitle = (a: Channel, b: Channel): number => channelTitle(a).localeCompare(channelTitle(b));

const Entry = ({
  channel,
  isOpen,
  onOpen,
}: {
  channel: Channel;
  isOpen: boolean;
  onOpen: Props['onOpen'];
}) => {
  const { unreadCount } = channel;
  return (
    <button
      type="button"
      data-channel={channel.id}
      class={`channel ${isOpen ? 'is-open' : ''} ${unreadCount > 0 ? 'is-unread' : ''}`}
      aria-current={isOpen ? 'page' : undefined}
      onClick={() => onOpen(channel.id)}
    >
      <ChannelSign kind={channel.kind} />
      <span class="title">{channelTitle(channel)}</span>
      {unreadCount > 0 && (
        <span class="badge">
          <span aria-hidden="true">{unreadCount > 99 ? '99+' : unreadCount}</span>
          <span class="only-heard">{countOf(unreadCount, 'unread message')}</span>
        </span>
      )}
    </button>
  );
};

export const ChannelList = ({ channels, openId, onOpen, onJoin, onCreate }: Props) => {
  const joined = channels.filter(({ role }) => role !== undefined).sort(byTitle);
  const others = channels.filter(({ role }) => role === undefined).sort(byTitle);
  return (
    <nav class="channels" aria-label="Channels">
      <div class="section-head">
        <h2>Channels</h2>
        <button type="button" class="quiet" onClick={onCreate}>
          <span aria-hidden="true">+ </span>New channel
        </button>
      </div>
      <ul>
        {joined.map((channel) => (
          <li key={channel.id}>
            <Entry channel={channel} isOpen={channel.id === openId} onOpen={onOpen} />
          </li>
        ))}
      </ul>
      {joined.length === 0 && <p class="hint">You are in no channel yet. Join one, or make a new one.</p>}
      {others.length > 0 && (
        <>
          <div class="section-head">
            <h2>More to join</h2>
          </div>
          <ul>
            {others.map((channel) => (
              <li key={channel.id} class="joinable">
                <Entry channel={channel} isOpen={channel.id === openId} onOpen={onOpen} />
                <button
                  type="button"
                  class="quiet"
                  aria-label={`Join ${channelTitle(channel)}`}
                  onClick={() => onJoin(channel.id)}
                >
                  Join
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </nav>
  );
};
