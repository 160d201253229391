import { avatarHue } from './format.ts';

/** Decoration: the name always stands beside it. */
export const Avatar = ({ userId }: { userId: string }) => (
  <span class={`avatar hue-${avatarHue(userId)}`} aria-hidden="true">
    {userId.charAt(0).toUpperCase()}
  </span>
);
