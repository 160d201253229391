import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useState } from 'preact/hooks';
import type { SubmitResult } from '@chat/client/chat-client';
import { TEXT_MAX_BYTES } from '@chat/contracts/limits';
import { loadDraft, saveDraft } from './drafts.ts';

type Props = {
  readonly inputRef: RefObject<HTMLTextAreaElement | null>;
  readonly channelId: string;
  readonly placeholder: string;
  /** A refused message to be written again. */
  readonly handedBack: string | undefined;
  readonly onTaken: () => void;
  readonly send: (text: string) => SubmitResult;
};

const encoder = new TextEncoder();

/** Grows with its text, up to the height that the style allows. */
const fit = (area: HTMLTextAreaElement | null): void => {
  if (!area) return;
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
};

export const Composer = ({ inputRef, channelId, placeholder, handedBack, onTaken, send }: Props) => {
  const [text, setText] = useState(() => loadDraft(channelId));
  const [refusal, setRefusal] = useState('');
  const isTooLong = text.length * 3 > TEXT_MAX_BYTES && encoder.encode(text).length > TEXT_MAX_BYTES;

  useLayoutEffect(() => fit(inputRef.current), [text]);
  useEffect(() => {
    if (handedBack === undefined) return;
    setText((now) => (now.trim() === '' ? handedBack : `${now}\n${handedBack}`));
    onTaken();
  }, [handedBack]);

  const change = (next: string): void => {
    setText(next);
    saveDraft(channelId, next);
    setRefusal('');
  };

  const submit = (): void => {
    if (text.trim() === '' || isTooLong) return;
    const result = send(text);
    if (result.ok) change('');
    else setRefusal(result.refusal.message);
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
        inputRef.current?.focus();
      }}
    >
      {(isTooLong || refusal) && (
        <p class="failure" role="alert">
          {isTooLong ? 'This is too long for one message; make it shorter.' : refusal}
        </p>
      )}
      <label class="only-heard" for="composer-text">
        {placeholder}
      </label>
      <textarea
        id="composer-text"
        ref={inputRef}
        rows={1}
        dir="auto"
        value={text}
        placeholder={placeholder}
        aria-describedby="composer-help"
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={(event) => {
          // While an input method composes (Japanese, Chinese, …), Enter belongs to it.
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
          event.preventDefault();
          submit();
        }}
      />
      <span id="composer-help" class="only-heard">
        Enter sends, Shift and Enter begins a new line.
      </span>
      <button type="submit" class="primary" disabled={text.trim() === '' || isTooLong}>
        Send
      </button>
    </form>
  );
};
