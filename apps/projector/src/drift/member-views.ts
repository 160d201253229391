/**
 * The membership view (`MEMBERS`) against the log: it is made from the read model, so what was wrong there may have been
 * published. A value is judged only where it must say what the log said at the check: its newest change is behind the
 * position of the view, and the value is no newer than the check.
 */

import type { MembershipView, MembersPosition } from '@chat/contracts/events';
import { membersStream } from '@chat/contracts/streams';
import { mbrPositionSubject, mbrSubject } from '@chat/contracts/subjects';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { getMessage } from '@chat/platform/nats/streams';
import type { ExpectedMembership, ExpectedState } from '@chat/read-model/drift/expected';
import type { MemberKey, ReadModel } from '@chat/read-model/port';
import type { MembersStore } from '../membership/members-store.ts';

const CONCURRENCY = 16;
const NAMED_MAX_COUNT = 100;

export type MemberViewsReport = {
  readonly checkedCount: number;
  readonly driftCount: number;
  /** `<team>/<user>`, up to NAMED_MAX_COUNT. */
  readonly drifts: readonly string[];
};
export type MemberViews = {
  check(
    expected: ExpectedState,
    epoch: string,
    signal: AbortSignal,
  ): Promise<MemberViewsReport & { readonly wrong: readonly MemberKey[] }>;
  /** Publishes what the read model says now. */
  repair(members: readonly MemberKey[], readModel: ReadModel): Promise<void>;
};

export const createMemberViews = (
  jsm: NatsHandle['jsm'],
  store: Pick<MembersStore, 'putRight'>,
): MemberViews => {
  const valueOf = async <T>(subject: string): Promise<T | undefined> => {
    const message = await getMessage(jsm, membersStream, { lastBySubject: subject });
    return message && (JSON.parse(Buffer.from(message.data).toString()) as T);
  };
  const isWrong = async (member: ExpectedMembership, atSeq: number): Promise<boolean> => {
    const value = await valueOf<MembershipView>(mbrSubject(member.teamId, member.userId));
    if (!value) return true;
    return value.asOf <= atSeq && contentOf(value) !== contentOf(member);
  };
  return {
    check: async (expected, epoch, signal) => {
      const position = await valueOf<MembersPosition>(mbrPositionSubject(expected.scope.partition));
      const reached = position?.epoch === epoch ? position.asOf : 0;
      const members = [...expected.memberships()].filter(({ seq }) => seq <= reached);
      const wrong: MemberKey[] = [];
      await each(members, async (member) => {
        signal.throwIfAborted();
        if (await isWrong(member, expected.seq)) wrong.push({ teamId: member.teamId, userId: member.userId });
      });
      const drifts = wrong.slice(0, NAMED_MAX_COUNT).map(({ teamId, userId }) => `${teamId}/${userId}`);
      return { checkedCount: members.length, driftCount: wrong.length, drifts, wrong };
    },
    repair: (members, readModel) =>
      each(members, async ({ teamId, userId }) => {
        const view = await readModel.membership(teamId, userId);
        if (view) await store.putRight(mbrSubject(teamId, userId), view);
      }),
  };
};

const contentOf = ({ role, channels }: Pick<MembershipView, 'role' | 'channels'>): string =>
  JSON.stringify([
    role ?? '',
    [...channels].map(({ id, sinceSeq, role: in_ }) => `${id} ${sinceSeq} ${in_}`).sort(),
  ]);

const each = async <T>(all: readonly T[], run: (one: T) => Promise<void>): Promise<void> => {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let one = all[next++]; one !== undefined; one = all[next++]) await run(one);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, all.length) }, work));
};
