/** What is typed but not sent, per channel; survives a reload of the tab. */

const keyOf = (channelId: string): string => `chat.draft.${channelId}`;

export const loadDraft = (channelId: string): string => sessionStorage.getItem(keyOf(channelId)) ?? '';

export const saveDraft = (channelId: string, text: string): void => {
  try {
    if (text === '') sessionStorage.removeItem(keyOf(channelId));
    else sessionStorage.setItem(keyOf(channelId), text);
  } catch {
    // A full storage costs the draft on a reload, nothing else.
  }
};
