/** Where we are, in the address: `#/<user>/<channelId>`. A reload and the back button keep it. */

import { type ChannelId, type UserId, parseChannelId, parseUserId } from '@chat/contracts/ids';

export type Route = { readonly userId?: UserId; readonly channelId?: ChannelId };

export const parseRoute = (hash: string): Route => {
  const [user, channel] = hash.replace(/^#\/?/, '').split('/');
  const userId = parseUserId(user);
  const channelId = parseChannelId(channel);
  return { ...(userId ? { userId } : {}), ...(userId && channelId ? { channelId } : {}) };
};

export const hashOf = ({ userId, channelId }: Route): string =>
  `#/${[userId, channelId].filter((part) => part !== undefined).join('/')}`;
