/** Putting documents right in MongoDB, within the transaction that took the checkpoint's turn. */

import type { ClientSession } from 'mongodb';
import type { Store } from '../mongo/collections.ts';
import { below, channelKey, channelMemberKey, memberKey, messageKey } from '../mongo/keys.ts';
import { writeChanges } from '../mongo/write-changes.ts';
import type { Checkpoint } from '../port.ts';
import type { ChangedMembership, DriftWriter, Fix } from './port.ts';
import { rangeBounds } from './postgres-sql.ts';

export const createMongoDriftWriter = (
  { collections }: Store,
  session: ClientSession,
  partition: number,
  checkpoint: Checkpoint | undefined,
): DriftWriter => ({
  checkpoint,
  replace: async (fixes, rows, members) => {
    await remove(collections, session, fixes);
    await removeChanged(collections, session, members);
    // Nothing stands under these keys now: the guards by `seq` let every row through.
    await writeChanges(session, collections, partition, rows);
    // Of a user only some of whose memberships were written: the newest of all of them.
    for (const { teamId, userId, seq } of members) {
      if (seq === 0) continue;
      await collections.changedMember.updateOne(
        { _id: memberKey({ teamId, userId }) },
        { $set: { p: partition, teamId, userId, seq } },
        { session, upsert: true },
      );
    }
  },
});

type Collections = Store['collections'];

const removeChanged = async (
  { changedMember }: Collections,
  session: ClientSession,
  members: readonly ChangedMembership[],
): Promise<void> => {
  if (members.length > 0)
    await changedMember.deleteMany({ _id: { $in: members.map(memberKey) } }, { session });
};

const remove = async (
  collections: Collections,
  session: ClientSession,
  fixes: readonly Fix[],
): Promise<void> => {
  const ids = { team: [], teamMember: [], channel: [], channelMember: [], readMark: [] } as Record<
    'team' | 'teamMember' | 'channel' | 'channelMember' | 'readMark',
    string[]
  >;
  for (const fix of fixes) {
    switch (fix.of) {
      case 'team':
        ids.team.push(fix.teamId);
        break;
      case 'team_member':
        ids.teamMember.push(memberKey(fix));
        break;
      case 'channel':
        ids.channel.push(channelKey(fix));
        break;
      case 'channel_member':
        ids.channelMember.push(channelMemberKey(fix));
        break;
      case 'read_mark':
        ids.readMark.push(channelMemberKey(fix));
        break;
      case 'messages': {
        const { from, to } = rangeBounds(fix.range);
        const $gte = fix.range < 0 ? below(channelKey(fix)).$gte : messageKey(fix, from);
        await collections.message.deleteMany({ _id: { $gte, $lte: messageKey(fix, to) } }, { session });
      }
    }
  }
  for (const name of Object.keys(ids) as (keyof typeof ids)[]) {
    if (ids[name].length === 0) continue;
    const collection = collections[name] as { deleteMany: Collections['channel']['deleteMany'] };
    await collection.deleteMany({ _id: { $in: ids[name] } }, { session });
  }
};
