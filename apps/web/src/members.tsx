import { useEffect, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';
import { type ChannelId, type UserId, parseUserId } from '@chat/contracts/ids';
import { Avatar } from './avatar.tsx';
import { countOf, displayName } from './format.ts';

type Props = { readonly client: ChatClient; readonly channelId: ChannelId; readonly me: UserId };

export const Members = ({ client, channelId, me }: Props) => {
  const [failure, setFailure] = useState('');
  const [name, setName] = useState('');
  useEffect(() => {
    void client.loadMembers(channelId).then((result) => setFailure(result.ok ? '' : result.error.message));
  }, [client, channelId]);

  const members = [...client.members(channelId)].sort((a, b) => a.userId.localeCompare(b.userId));
  const channel = client.channel(channelId);
  const mayAdd = channel?.role !== undefined && channel.kind !== 'direct';
  const added = parseUserId(name.trim().toLowerCase());
  return (
    <section class="members" aria-label="Members">
      {failure && (
        <p class="failure" role="alert">
          {failure}
        </p>
      )}
      <h3>{countOf(members.length, 'member')}</h3>
      <ul>
        {members.map(({ userId, role }) => (
          <li key={userId}>
            <Avatar userId={userId} />
            <span>
              {displayName(userId)}
              {userId === me && ' (you)'}
              {role !== 'member' && <small> · {role}</small>}
            </span>
          </li>
        ))}
      </ul>
      {mayAdd && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (!added) return;
            client.command('member.add', { userId: added, channelId });
            setName('');
          }}
        >
          <label for="add-member">Add someone</label>
          <input
            id="add-member"
            value={name}
            autocomplete="off"
            placeholder="carol"
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <button type="submit" class="quiet" disabled={!added}>
            Add
          </button>
        </form>
      )}
    </section>
  );
};
