import type { SeedPlan } from '@chat/testkit/processes/seed-team';

export const demoUsers = ['alice', 'bob', 'carol'] as const;

/** What a newcomer finds. Seeded at every start under the same ids: nothing is added twice. */
export const demoTeam: SeedPlan = {
  name: 'Demo team',
  owner: 'alice',
  members: ['bob', 'carol'],
  channels: [
    { name: 'general' },
    { name: 'random' },
    { name: 'founders', kind: 'private', members: ['bob'] },
  ],
  messages: [
    { from: 'alice', channel: 'general', text: 'Welcome to the demo team 👋' },
    { from: 'bob', channel: 'general', text: 'Hi Alice! Which gateway are you on?' },
    { from: 'alice', channel: 'general', text: 'Kill mine with -9 and see: nothing is missed.' },
    { from: 'carol', channel: 'random', text: 'おはようございます ☕' },
    { from: 'alice', channel: 'founders', text: 'Only Bob and I see this channel.' },
  ],
};
