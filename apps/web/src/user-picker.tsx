import type { UserId } from '@chat/contracts/ids';
import { Avatar } from './avatar.tsx';
import { displayName } from './format.ts';

type Props = { readonly users: readonly UserId[]; readonly onPick: (userId: UserId) => void };

export const UserPicker = ({ users, onPick }: Props) => (
  <main class="notice">
    <img src="/favicon.svg" alt="" width="56" height="56" />
    <h1>Who are you?</h1>
    {users.length === 0 ? (
      <p>This server has no demo users. Start it with “npm start”, or sign in with your own client.</p>
    ) : (
      <>
        <p>Pick a demo user. Open a second window to be someone else and talk to yourself.</p>
        <ul class="picker">
          {users.map((userId) => (
            <li key={userId}>
              <button type="button" onClick={() => onPick(userId)}>
                <Avatar userId={userId} />
                <span>{displayName(userId)}</span>
              </button>
            </li>
          ))}
        </ul>
      </>
    )}
  </main>
);
