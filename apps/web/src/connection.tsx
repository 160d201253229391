import { useEffect, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';
import { hostOf, stateWord, stopWords, toneOf } from './format.ts';
import { type Known as TroubleKnown, troubleOf } from './trouble.ts';
import { useTicking } from './use-client.ts';

type Known = Pick<TroubleKnown, 'isReconnecting' | 'retryAtMs' | 'movesAtMs' | 'held'> & {
  readonly gateway: string;
};

const nothing: Known = {
  gateway: '',
  isReconnecting: false,
  retryAtMs: 0,
  movesAtMs: undefined,
  held: undefined,
};

const afterState = (old: Known, state: ReturnType<ChatClient['state']>): Known => {
  switch (state.kind) {
    case 'connecting':
      return { ...old, gateway: hostOf(state.gatewayUrl), movesAtMs: undefined };
    case 'waiting':
      return {
        ...old,
        isReconnecting: true,
        retryAtMs: Date.now() + state.retryInMs,
        movesAtMs: undefined,
        held: undefined,
      };
    case 'live':
      return { ...old, isReconnecting: false };
    default:
      return old;
  }
};

/** The gateway that serves us, and what it or the client told of waits that began. */
const useConnection = (client: ChatClient): Known => {
  const [known, setKnown] = useState(nothing);
  useEffect(() => {
    const note = (state: ReturnType<ChatClient['state']>): void => setKnown((old) => afterState(old, state));
    note(client.state());
    const offs = [
      client.on('state', note),
      client.on('draining', ({ reconnectAfterMs }) =>
        setKnown((old) => ({ ...old, movesAtMs: Date.now() + reconnectAfterMs })),
      ),
      client.on('held', ({ code, retryInMs }) =>
        setKnown((old) => ({ ...old, held: { code, untilMs: Date.now() + retryInMs } })),
      ),
    ];
    return () => offs.forEach((off) => off());
  }, [client]);
  return known;
};

/** Whether the machine has a network, as the browser knows it. */
const useOnline = (): boolean => {
  const [isOnline, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = (): void => setOnline(navigator.onLine);
    addEventListener('online', look);
    addEventListener('offline', look);
    return () => {
      removeEventListener('online', look);
      removeEventListener('offline', look);
    };
  }, []);
  return isOnline;
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

/** What to know while messages cannot go out as they should. Shown above the composer. */
export const ConnectionBanner = ({ client }: { client: ChatClient }) => {
  const { held, movesAtMs, ...known } = useConnection(client);
  const isOnline = useOnline();
  const state = client.state();
  const nowMs = Date.now();
  const counts = state.kind === 'waiting' || (held?.untilMs ?? 0) > nowMs || (movesAtMs ?? 0) > nowMs;
  useTicking(counts, 250);
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
  const trouble = troubleOf({ ...known, held, movesAtMs, state, isOnline, nowMs });
  if (!trouble) return null;
  return (
    <div class="banner tone-busy">
      <p>{trouble.words}</p>
      {trouble.mayTryNow && (
        <button type="button" onClick={() => client.nudge()}>
          Try now
        </button>
      )}
    </div>
  );
};
