/**
 * The id of a team that is about to be created: a MAC over the creator and the command. A repeat of the command names
 * the same team (whichever api takes it), and nobody can aim at a partition or at another team's id.
 */

import { createHmac } from 'node:crypto';
import { type CommandId, type TeamId, type UserId, makeTeamId } from '@chat/contracts/ids';

export type TeamIdMaker = (userId: UserId, commandId: CommandId) => TeamId;

export const createTeamIdMaker =
  (secret: string, partitionCount: number): TeamIdMaker =>
  (userId, commandId) => {
    const mac = createHmac('sha256', secret).update(`${userId}:${commandId}`).digest();
    return makeTeamId(mac.readUInt32BE(0) % partitionCount, mac.subarray(4, 13));
  };
