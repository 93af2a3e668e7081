import type { ApolloClient, DocumentNode } from '@apollo/client';
import { codeOf, pauseMsOf } from './apollo-room.js';

/**
 * Keeps a subscription to a state (`Typing`, `Presence`, `InboxEvents`) going: what it brings goes into the store. It begins again
 * by itself after each break, and after a failure that is temporary: as late as the server asks for it.
 * @param onEnd - called once if it has ended for good, with the code of the refusal
 * @returns how to stop
 */
export function watchLive<Data>(
  client: ApolloClient,
  query: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
  onEnd: (code: string) => void,
  onNext: (data: Data) => void = () => undefined,
): () => void {
  let isStopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let unsubscribe = () => {};
  let failures = 0;
  const begin = () => {
    let isOver = false;
    const fail = (error: unknown) => {
      if (isStopped || isOver) return;
      isOver = true;
      unsubscribe();
      const pauseMs = pauseMsOf(error, failures);
      failures += 1;
      if (pauseMs !== undefined) timer = setTimeout(begin, pauseMs);
      else {
        stop();
        onEnd(codeOf(error));
      }
    };
    const subscription = client.subscribe<Data>({ query, variables }).subscribe({
      next: ({ data, error }) => {
        if (error !== undefined) return fail(error);
        failures = 0;
        if (data != null && !isStopped) onNext(data as Data);
      },
      error: fail,
    });
    unsubscribe = () => subscription.unsubscribe();
    if (isOver) unsubscribe();
  };
  const stop = () => {
    isStopped = true;
    clearTimeout(timer);
    unsubscribe();
  };
  begin();
  return stop;
}
