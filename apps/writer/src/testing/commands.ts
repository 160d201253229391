/** For tests and the load tool: commands as the gateway puts them on `CMD_<p>`. */

import { randomUUID } from 'node:crypto';
import { type CommandName, commandMsgId, encodeCommand, parseCommand } from '@chat/contracts/commands';
import { type CommandId, type TeamId, type UserId, makeTeamId } from '@chat/contracts/ids';
import { cmdSubject } from '@chat/contracts/subjects';
import { commandHash } from '@chat/platform/command-hash';

export type CommandMessage = {
  readonly id: CommandId;
  readonly actor: UserId;
  readonly hash: string;
  readonly teamId: TeamId;
  readonly subject: string;
  readonly msgId: string;
  readonly body: string;
};

export const newId = (): CommandId => randomUUID() as string as CommandId;
export const user = (name: string): UserId => name as UserId;
export const newTeamId = (partition: number): TeamId => makeTeamId(partition, Buffer.from(randomUUID()));

export const makeCommand = (
  teamId: TeamId,
  actor: string,
  name: CommandName,
  data: unknown,
  id: CommandId = newId(),
): CommandMessage => {
  const parsed = parseCommand(name, data);
  if (!parsed.ok) throw new Error(`${name}: ${parsed.code} ${parsed.message ?? ''}`);
  const hash = commandHash(teamId, name, parsed.dataJson);
  return {
    id,
    actor: actor as UserId,
    hash,
    teamId,
    subject: cmdSubject(teamId, name),
    msgId: commandMsgId(actor as UserId, id, hash),
    body: encodeCommand(id, actor as UserId, hash, name, Date.now(), parsed.dataJson),
  };
};
