import { useEffect, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';
import { hostOf, stateWord, stopWords, toneOf } from './format.ts';
import { useTicking } from './use-client.ts';

/** The gateway that serves us, and when a wait that began ends. */
const useConnection = (client: ChatClient): { gateway: string; retryAtMs: number } => {
  const [known, setKnown] = useState({ gateway: '', retryAtMs: 0 });
  useEffect(() => {
    const note = (state: ReturnType<ChatClient['state']>): void => {
      if (state.kind === 'connecting') setKnown((old) => ({ ...old, gateway: hostOf(state.gatewayUrl) }));
      if (state.kind === 'waiting') setKnown((old) => ({ ...old, retryAtMs: Date.now() + state.retryInMs }));
    };
    note(client.state());
    return client.on('state', note);
  }, [client]);
  return known;
};

/** A line that says whether we are connected, and to which gateway. */
export const Connection = ({ client }: { client: ChatClient }) => {
  const { gateway } = useConnection(client);
  const state = client.state();
  return (
    <span class={`connection tone-${toneOf(state)}`} role="status">
      <span class="dot" aria-hidden="true" />
      <span>
        {stateWord(state)}
        {state.kind === 'live' && gateway && <span class="gateway">{gateway}</span>}
      </span>
    </span>
  );
};

/** What to know while we are not connected. Shown above the composer. */
export const ConnectionBanner = ({ client }: { client: ChatClient }) => {
  const { retryAtMs } = useConnection(client);
  const state = client.state();
  useTicking(state.kind === 'waiting', 250);
  if (state.kind === 'stopped') {
    return (
      <div class="banner tone-bad" role="alert">
        <p>{stopWords(state)} What you wrote and was not saved is kept in this tab.</p>
        <button type="button" onClick={() => location.reload()}>
          Connect again
        </button>
      </div>
    );
  }
  if (state.kind !== 'waiting') return null;
  const seconds = Math.max(0, Math.ceil((retryAtMs - Date.now()) / 1_000));
  return (
    <div class="banner tone-busy">
      <p>
        Connection lost. Go on writing: it is kept and sent when we are back
        {seconds > 0 ? ` (next try in ${seconds} s)` : ''}.
      </p>
      <button type="button" onClick={() => client.nudge()}>
        Try now
      </button>
    </div>
  );
};
