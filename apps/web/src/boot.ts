/** From a bare page to a running client: configuration, token, team, storage, client. */

import { type ChatClient, createChatClient } from '@chat/client/chat-client';
import { createDevToken } from '@chat/client/dev-token';
import { openWebStorage } from '@chat/client/web-storage';
import type { ClientConfigResponse, TeamsResponse } from '@chat/contracts/http';
import type { UserId } from '@chat/contracts/ids';

export type Session = {
  readonly client: ChatClient;
  readonly userId: UserId;
  readonly teamName: string;
};

const getJson = async <T>(path: string, token?: string): Promise<T> => {
  const response = await fetch(
    path,
    token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
  );
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return (await response.json()) as T;
};

export const loadConfig = (): Promise<ClientConfigResponse> => getJson('/api/v1/client-config');

/** Pages begin at different gateways, so that one that dies takes only its share with it. */
const shuffled = <T>(items: readonly T[]): readonly T[] =>
  items
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);

export const openSession = async (config: ClientConfigResponse, userId: UserId): Promise<Session> => {
  const getToken = createDevToken('', userId);
  const { teams } = await getJson<TeamsResponse>('/api/v1/teams', await getToken({ renew: false }));
  const team = teams[0];
  if (!team) throw new Error(`${userId} is in no team yet`);
  const storage = await openWebStorage({
    local: localStorage,
    session: sessionStorage,
    // Missing on an insecure origin, whatever its type says.
    ...((navigator as { locks?: LockManager }).locks ? { locks: navigator.locks } : {}),
    teamId: team.id,
    userId,
  });
  const client = createChatClient({
    gatewayUrls: shuffled(config.gateways),
    apiUrl: '',
    teamId: team.id,
    getToken,
    device: 'web',
    storage,
  });
  return { client, userId, teamName: team.name };
};
