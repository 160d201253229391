import type { CommandName } from '@chat/contracts/commands';

/** Kept apart from the schemas of @chat/contracts/commands, which a browser does not need. */
const names = {
  'team.create': true,
  'channel.create': true,
  'channel.join': true,
  'channel.leave': true,
  'member.add': true,
  'member.remove': true,
  'message.send': true,
  'read.mark': true,
} as const satisfies Record<CommandName, true>;

export const isCommandName = (value: unknown): value is CommandName =>
  typeof value === 'string' && Object.hasOwn(names, value);
