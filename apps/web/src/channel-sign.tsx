import type { ChannelKind } from '@chat/contracts/commands';

/** Decoration before a channel's name: what kind it is. */
export const ChannelSign = ({ kind }: { kind: ChannelKind }) => (
  <span class="sign" aria-hidden="true">
    {kind === 'private' ? (
      <svg viewBox="0 0 16 16" width="13" height="13" fill="currentColor">
        <path d="M4 7V5a4 4 0 0 1 8 0v2h.500a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1zm1.600 0h4.800V5a2.400 2.400 0 0 0-4.800 0z" />
      </svg>
    ) : kind === 'direct' ? (
      '@'
    ) : (
      '#'
    )}
  </span>
);
