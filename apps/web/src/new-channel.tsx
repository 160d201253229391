import { useEffect, useRef, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';
import type { ChannelKind } from '@chat/contracts/commands';
import type { ChannelId } from '@chat/contracts/ids';
import { NAME_MAX_LENGTH } from '@chat/contracts/limits';

type Props = {
  readonly client: ChatClient;
  /** With the id of the new channel, or without when nothing was made. */
  readonly onClose: (channelId?: ChannelId) => void;
};

export const NewChannel = ({ client, onClose }: Props) => {
  const dialogRef = useRef<HTMLDialogElement>(null);
  const [name, setName] = useState('');
  const [kind, setKind] = useState<Extract<ChannelKind, 'public' | 'private'>>('public');
  const [failure, setFailure] = useState('');
  const [isBusy, setBusy] = useState(false);

  useEffect(() => dialogRef.current?.showModal(), []);

  const create = async (): Promise<void> => {
    setBusy(true);
    setFailure('');
    const result = client.command('channel.create', { kind, name: name.trim() });
    if (!result.ok) {
      setBusy(false);
      return setFailure(result.refusal.message);
    }
    const verdict = await client.outcome(result.id);
    setBusy(false);
    if (verdict.kind === 'persisted') onClose(result.id as ChannelId);
    else setFailure(verdict.message);
  };

  return (
    <dialog ref={dialogRef} aria-labelledby="new-channel-title" onClose={() => onClose()}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void create();
        }}
      >
        <h2 id="new-channel-title">New channel</h2>
        <label for="new-channel-name">Name</label>
        <input
          id="new-channel-name"
          value={name}
          maxLength={NAME_MAX_LENGTH}
          autocomplete="off"
          aria-describedby={failure ? 'new-channel-failure' : undefined}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <fieldset>
          <legend>Who may see it</legend>
          <label>
            <input type="radio" name="kind" checked={kind === 'public'} onChange={() => setKind('public')} />{' '}
            Everyone in the team
          </label>
          <label>
            <input
              type="radio"
              name="kind"
              checked={kind === 'private'}
              onChange={() => setKind('private')}
            />{' '}
            Only who is added
          </label>
        </fieldset>
        {failure && (
          <p id="new-channel-failure" class="failure" role="alert">
            {failure}
          </p>
        )}
        <div class="dialog-buttons">
          <button type="button" class="quiet" onClick={() => onClose()}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={isBusy || name.trim() === ''}>
            {isBusy ? 'Making it…' : 'Create'}
          </button>
        </div>
      </form>
    </dialog>
  );
};
