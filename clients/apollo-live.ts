import type { ApolloClient, DocumentNode } from '@apollo/client';
import { codeOf, retryAfterMsOf, temporary } from './apollo-room.js';

const retryMs = 1_000;

/**
 * Keeps a subscription to a state (`Typing`, `Presence`, `InboxEvents`) going: what it brings goes into the store. It begins again
 * after a refusal that passes, and by itself after each break.
 * @param onEnd - called if it is refused otherwise; with the code
 * @returns how to stop
 */
export function watchLive<Data>(
  client: ApolloClient,
  query: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
  onEnd: (code: string) => void,
  onNext: (data: Data) => void = () => undefined,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop = () => {};
  const begin = () => {
    const subscription = client.subscribe<Data>({ query, variables }).subscribe({
      next: ({ data, error }) => {
        if (error !== undefined) end(error);
        else if (data != null) onNext(data as Data);
      },
      error: end,
    });
    stop = () => subscription.unsubscribe();
  };
  const end = (error: unknown) => {
    clearTimeout(timer);
    if (temporary.has(codeOf(error))) timer = setTimeout(begin, retryAfterMsOf(error) ?? retryMs);
    else onEnd(codeOf(error));
  };
  begin();
  return () => {
    clearTimeout(timer);
    stop();
  };
}
