/** Makes a team over the HTTP command entry, as any client would. Every step carries a fixed id: seeding twice changes nothing. */

import { createHash } from 'node:crypto';
import type { CommandName } from '@chat/contracts/commands';
import type { CreateTeamResponse } from '@chat/contracts/http';
import { type ChannelId, type TeamId, channelIdOf, parseCommandId, parseUserId } from '@chat/contracts/ids';
import { delay } from '../servers/ports.ts';

export type SeedChannel = {
  readonly name: string;
  readonly kind?: 'public' | 'private';
  /** Besides the owner. Default: every member. */
  readonly members?: readonly string[];
};

export type SeedPlan = {
  /** Part of every command id: the same plan name and owner is the same team. */
  readonly name: string;
  readonly owner: string;
  readonly members: readonly string[];
  readonly channels: readonly SeedChannel[];
  readonly messages?: readonly { readonly from: string; readonly channel: string; readonly text: string }[];
};

export type SeededTeam = {
  readonly teamId: TeamId;
  readonly channels: Readonly<Record<string, ChannelId>>;
};

export type SeedDeps = {
  readonly apiUrl: string;
  readonly mintToken: (user: string) => Promise<string>;
  readonly deadlineMs?: number;
};

const DEADLINE_MS = 60_000;
const RETRY_MS = 100;

/** A UUID that only this key has (version 8: by content). */
const idOf = (...key: readonly string[]): string => {
  const hex = createHash('sha256').update(JSON.stringify(key)).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
};

/** A read model or membership view that has not caught up answers so; the same id is sent again. */
const isWorthRetrying = (status: number, body: string): boolean =>
  status === 202 || status === 404 || status === 429 || status >= 500 || /"retryable":true/.test(body);

export const seedTeam = async (plan: SeedPlan, deps: SeedDeps): Promise<SeededTeam> => {
  const deadline = Date.now() + (deps.deadlineMs ?? DEADLINE_MS);
  const post = async (user: string, path: string, body: object): Promise<unknown> => {
    const token = await deps.mintToken(user);
    let last = 'no answer';
    while (Date.now() < deadline) {
      try {
        const response = await fetch(`${deps.apiUrl}${path}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(15_000),
        });
        last = `${response.status} ${await response.text()}`;
        if (response.status === 200 || response.status === 201) return JSON.parse(last.slice(4)) as unknown;
        if (!isWorthRetrying(response.status, last)) break;
      } catch (error) {
        last = String(error);
      }
      await delay(RETRY_MS);
    }
    throw new Error(`seeding: POST ${path} ${JSON.stringify(body).slice(0, 200)}: ${last.slice(0, 500)}`);
  };

  const teamKey = [plan.name, plan.owner];
  const created = await post(plan.owner, '/api/v1/teams', { id: idOf(...teamKey), name: plan.name });
  const { teamId } = created as CreateTeamResponse;
  const command = (user: string, name: CommandName, data: object, ...key: string[]): Promise<unknown> =>
    post(user, '/api/v1/commands', { teamId, id: idOf(...teamKey, name, ...key), name, data });

  await Promise.all(
    plan.members.map((member) => command(plan.owner, 'member.add', { userId: parseUserId(member) }, member)),
  );
  const channels: Record<string, ChannelId> = {};
  for (const { name, kind = 'public', members = plan.members } of plan.channels) {
    await command(plan.owner, 'channel.create', { kind, name }, name);
    const createId = parseCommandId(idOf(...teamKey, 'channel.create', name));
    if (!createId) throw new Error('a made id is no command id');
    const channelId = channelIdOf(createId);
    channels[name] = channelId;
    await Promise.all(
      members
        .filter((member) => member !== plan.owner)
        .map((userId) => command(plan.owner, 'member.add', { userId, channelId }, name, userId)),
    );
  }
  for (const [i, { from, channel, text }] of (plan.messages ?? []).entries()) {
    const messageId = idOf(...teamKey, 'message', String(i));
    await post(from, '/api/v1/messages', { teamId, messageId, channelId: channels[channel], text });
  }
  return { teamId, channels };
};
