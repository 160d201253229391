/** Searches the messages of one's channels; a hit opens its channel. */

import { useEffect, useRef, useState } from 'preact/hooks';
import type { ChatClient } from '@chat/client/chat-client';
import type { SearchResponse } from '@chat/contracts/http';
import type { ChannelId } from '@chat/contracts/ids';
import { SEARCH_QUERY_MAX_LENGTH } from '@chat/contracts/limits';
import { channelTitle, countOf, dayOf, displayName, isoOf, timeOf } from './format.ts';
import { markedParts } from './marked-parts.ts';

type Hit = SearchResponse['hits'][number];

const HitEntry = ({ hit, title, onOpen }: { hit: Hit; title: string; onOpen: () => void }) => {
  const { actor, at, text } = hit.message;
  return (
    <button type="button" class="hit" onClick={onOpen}>
      <small>
        {title} · {displayName(actor)} ·{' '}
        <time dateTime={isoOf(at)}>
          {dayOf(at, Date.now())} {timeOf(at)}
        </time>
      </small>
      <span class="text" dir="auto">
        {markedParts(text, hit.highlights).map((part) =>
          part.isMarked ? <mark>{part.text}</mark> : part.text,
        )}
      </span>
    </button>
  );
};

type Found = { readonly q: string; readonly hits: readonly Hit[]; readonly nextCursor?: string | undefined };

type Props = { readonly client: ChatClient; readonly onOpen: (channelId: ChannelId) => void };

export const Search = ({ client, onOpen }: Props) => {
  const [q, setQ] = useState('');
  const [found, setFound] = useState<Found>();
  const [failure, setFailure] = useState('');
  // An answer that comes after a later question is of no use.
  const askedRef = useRef(0);
  useEffect(() => () => void (askedRef.current += 1), []);

  const clear = (): void => {
    askedRef.current += 1;
    setFound(undefined);
    setFailure('');
  };
  const ask = async (words: string, before?: Found): Promise<void> => {
    const asked = (askedRef.current += 1);
    const cursor = before?.nextCursor;
    const answer = await client.search({ q: words, ...(cursor === undefined ? {} : { cursor }) });
    if (asked !== askedRef.current) return;
    setFailure(answer.ok ? '' : answer.error.message);
    if (!answer.ok) return;
    const { hits, nextCursor } = answer.value;
    setFound({ q: words, hits: [...(before?.hits ?? []), ...hits], nextCursor });
  };

  return (
    <search class="search">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (q.trim() === '') clear();
          else void ask(q);
        }}
      >
        <input
          type="search"
          aria-label="Search messages"
          placeholder="Search messages"
          autocomplete="off"
          maxLength={SEARCH_QUERY_MAX_LENGTH}
          value={q}
          onInput={(event) => {
            setQ(event.currentTarget.value);
            if (event.currentTarget.value === '') clear();
          }}
        />
      </form>
      {failure && (
        <p class="failure" role="alert">
          {failure}
        </p>
      )}
      {found && (
        <div class="search-results">
          <p class="hint" role="status">
            {found.hits.length === 0 && !found.nextCursor
              ? `No message with “${found.q}”.`
              : `${countOf(found.hits.length, 'message')}${found.nextCursor ? ' so far' : ''}`}
          </p>
          {found.hits.map((hit) => {
            const channel = client.channel(hit.message.channelId);
            return (
              <HitEntry
                key={hit.message.id}
                hit={hit}
                title={channel ? channelTitle(channel) : ''}
                onOpen={() => onOpen(hit.message.channelId)}
              />
            );
          })}
          {found.nextCursor && (
            <button type="button" class="quiet" onClick={() => void ask(found.q, found)}>
              More
            </button>
          )}
        </div>
      )}
    </search>
  );
};
