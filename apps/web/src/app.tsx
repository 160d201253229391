/**
 * The page: loading → picking a user → opening the session → chat. The user stands in the address, so that
 * two windows can be two people and a reload stays the same one.
 */

import { useEffect, useState } from 'preact/hooks';
import type { ClientConfigResponse } from '@chat/contracts/http';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import { type Session, loadConfig, openSession } from './boot.ts';
import { Chat } from './chat.tsx';
import { type Route, hashOf, parseRoute } from './route.ts';
import { UserPicker } from './user-picker.tsx';
import { Notice } from './notice.tsx';

const RETRY_MS = 2_000;

const useRoute = (): readonly [Route, (route: Route) => void] => {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const follow = (): void => setRoute(parseRoute(location.hash));
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return [route, (next) => void (location.hash = hashOf(next))];
};

/** Tries until it succeeds; answers the value, or the last failure while it goes on trying. */
const useLoaded = <T,>(
  load: (() => Promise<T>) | undefined,
  key: string,
): { value?: T; failure?: string } => {
  const [result, setResult] = useState<{ key: string; value?: T; failure?: string }>({ key });
  useEffect(() => {
    if (!load) return undefined;
    let isWanted = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const attempt = (): void => {
      load().then(
        (value) => isWanted && setResult({ key, value }),
        (error: unknown) => {
          if (!isWanted) return;
          setResult({ key, failure: error instanceof Error ? error.message : String(error) });
          timer = setTimeout(attempt, RETRY_MS);
        },
      );
    };
    attempt();
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
    // `load` is made anew at every drawing; `key` says when it means something else.
  }, [key]);
  return result.key === key ? result : {};
};

export const App = () => {
  const [route, go] = useRoute();
  const config = useLoaded<ClientConfigResponse>(loadConfig, 'config');
  const { userId } = route;
  const known = config.value;
  const opened = useLoaded<Session>(
    known && userId ? () => openSession(known, userId) : undefined,
    known && userId ? `session ${userId}` : 'none',
  );
  const session = opened.value;

  useEffect(() => {
    if (!session) return undefined;
    void session.client.start();
    return () => void session.client.stop();
  }, [session]);

  if (!known) return <Notice title="RealTimeChat" text="Loading…" failure={config.failure} />;
  if (!userId)
    return <UserPicker users={known.demoUsers} onPick={(picked: UserId) => go({ userId: picked })} />;
  if (!session) return <Notice title={`Signing in as ${userId}…`} text="" failure={opened.failure} />;
  return (
    <Chat
      key={session.userId}
      session={session}
      channelId={route.channelId}
      onOpen={(channelId: ChannelId | undefined) => go({ userId, ...(channelId ? { channelId } : {}) })}
      onLeave={() => go({})}
    />
  );
};
