import type { Client, DocumentInput } from '@urql/core';
import { watchLive } from './urql-live.js';
import { codeOf, retryAfterMsOf, temporary } from './urql-room.js';

/** The operations of `clients/operations`, as your code generation or loader gives them. */
export interface RoomsDocuments {
  readonly RoomList: DocumentInput;
  readonly InboxEvents: DocumentInput;
}

interface RoomList {
  readonly rooms: {
    readonly edges: readonly unknown[];
    readonly pageInfo: { readonly endCursor: string | null; readonly hasNextPage: boolean };
  };
}

interface InboxEvents {
  readonly inboxEvents: { readonly kind: string };
}

/** The rooms of a page. */
export const roomsPageSize = 50;
const retryMs = 1_000;

/**
 * Keeps the list of rooms in the store current, newest activity first. It is read when all changes from then on are delivered, and
 * again after a break: as many pages as were shown. Show it with
 * `client.query(RoomList, { first: roomsPageSize }, { requestPolicy: 'cache-only' })`; the next page is read by the same query with
 * `after: pageInfo.endCursor` and 'network-only'.
 * @param onEnd - called if the list is refused; with the code
 * @returns how to stop
 */
export function watchRooms(
  client: Client,
  { RoomList, InboxEvents }: RoomsDocuments,
  onEnd: (code: string) => void,
): () => void {
  const first = roomsPageSize;
  let reading = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const read = (after: string | null) => {
    // No field takes `isAnew`, so it is not sent: it is for `addRooms`.
    const variables = { first, after, isAnew: after === null };
    return client.query<RoomList>(RoomList, variables, { requestPolicy: 'network-only' }).toPromise();
  };
  const begin = async () => {
    clearTimeout(timer);
    reading += 1;
    const own = reading;
    const shown = client.readQuery<RoomList>(RoomList, { first }, { requestPolicy: 'cache-only' });
    const count = shown?.data?.rooms.edges.length ?? 0;
    let after: string | null = null;
    for (;;) {
      const { data, error } = await read(after);
      if (own !== reading) return;
      if (data === undefined || error !== undefined) {
        if (temporary.has(codeOf(error))) timer = setTimeout(begin, retryAfterMsOf(error) ?? retryMs);
        else onEnd(codeOf(error));
        return;
      }
      const { edges, pageInfo } = data.rooms;
      if (!pageInfo.hasNextPage || edges.length >= count) return;
      after = pageInfo.endCursor;
    }
  };
  const stop = watchLive<InboxEvents>(client, InboxEvents, {}, onEnd, ({ inboxEvents: { kind } }) => {
    if (kind === 'READY') void begin();
  });
  return () => {
    reading += 1;
    clearTimeout(timer);
    stop();
  };
}
