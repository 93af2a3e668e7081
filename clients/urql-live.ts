import type { Client, DocumentInput } from '@urql/core';
import { codeOf, retryAfterMsOf, temporary } from './urql-room.js';

const retryMs = 1_000;

/**
 * Keeps a subscription to a state (`Typing`, `Presence`, `InboxEvents`) going: what it brings goes into the store. It begins again
 * after a refusal that passes, and by itself after each break.
 * @param onEnd - called if it is refused otherwise; with the code
 * @returns how to stop
 */
export function watchLive<Data>(
  client: Client,
  query: DocumentInput,
  variables: Readonly<Record<string, unknown>>,
  onEnd: (code: string) => void,
  onNext: (data: Data) => void = () => undefined,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let unsubscribe = () => {};
  const begin = () => {
    const events = client.subscription<Data>(query, { ...variables });
    ({ unsubscribe } = events.subscribe(({ data, error }) => {
      // A refusal comes with the data before it.
      if (error !== undefined) end(error);
      else if (data !== undefined) onNext(data);
    }));
  };
  const end = (error: unknown) => {
    clearTimeout(timer);
    unsubscribe();
    if (temporary.has(codeOf(error))) timer = setTimeout(begin, retryAfterMsOf(error) ?? retryMs);
    else onEnd(codeOf(error));
  };
  begin();
  return () => {
    clearTimeout(timer);
    unsubscribe();
  };
}
