import type { Client, DocumentInput } from '@urql/core';
import { watchLive } from './urql-live.js';
import { codeOf, pauseMsOf } from './urql-room.js';

/** The operations of `clients/operations`, as your code generation or loader gives them. */
export interface RoomsDocuments {
  readonly RoomList: DocumentInput;
  readonly InboxEvents: DocumentInput;
}

interface ListedRoom {
  readonly id: string;
  readonly updatedAt: string;
}

interface RoomList {
  readonly rooms: {
    readonly edges: readonly { readonly node: ListedRoom }[];
    readonly pageInfo: { readonly endCursor: string | null; readonly hasNextPage: boolean };
  };
}

interface InboxEvents {
  readonly inboxEvents: { readonly kind: string; readonly roomId: string | null; readonly room: ListedRoom | null };
}

/** The rooms of a page. */
export const roomsPageSize = 50;
/** A room may come or go while the list is on its way: then it is read again, this much later. */
const rereadMs = 1_000;

/**
 * Keeps the list of rooms in the store current, newest activity first. It is read when all changes from then on are delivered, and
 * again after a break: as many pages as were shown. Show it with
 * `client.query(RoomList, { first: roomsPageSize }, { requestPolicy: 'cache-only' })`; the next page is read by the same query with
 * `after: pageInfo.endCursor` and 'network-only'.
 * @param onEnd - called once if it has ended for good, with the code of the refusal
 * @returns how to stop
 */
export function watchRooms(
  client: Client,
  { RoomList, InboxEvents }: RoomsDocuments,
  onEnd: (code: string) => void,
): () => void {
  const first = roomsPageSize;
  /** The changes since the reading began, null for a removal. */
  let changes = new Map<string, ListedRoom | null>();
  let reading = 0;
  let failures = 0;
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
    changes = new Map();
    const shown = client.readQuery<RoomList>(RoomList, { first }, { requestPolicy: 'cache-only' });
    const count = shown?.data?.rooms.edges.length ?? 0;
    let after: string | null = null;
    for (;;) {
      const { data, error } = await read(after);
      if (own !== reading) return;
      if (data === undefined || error !== undefined) return fail(error);
      failures = 0;
      const { edges, pageInfo } = data.rooms;
      if (!pageInfo.hasNextPage || edges.length >= count) {
        if (isMissed(data)) timer = setTimeout(begin, rereadMs);
        return;
      }
      after = pageInfo.endCursor;
    }
  };
  /** Whether the list has a room that has left meanwhile, or lacks one that has come. */
  const isMissed = ({ rooms: { edges, pageInfo } }: RoomList): boolean => {
    const listed = new Set(edges.map(({ node }) => node.id));
    const oldest = pageInfo.hasNextPage ? (edges.at(-1)?.node.updatedAt ?? '') : '';
    return [...changes].some(([id, room]) =>
      room === null ? listed.has(id) : !listed.has(id) && room.updatedAt > oldest,
    );
  };
  const fail = (error: unknown) => {
    const pauseMs = pauseMsOf(error, failures);
    failures += 1;
    if (pauseMs !== undefined) timer = setTimeout(begin, pauseMs);
    else {
      stop();
      onEnd(codeOf(error));
    }
  };
  const stopEvents = watchLive<InboxEvents>(client, InboxEvents, {}, onEnd, ({ inboxEvents }) => {
    const { kind, roomId, room } = inboxEvents;
    if (kind === 'READY') void begin();
    if (roomId !== null) changes.set(roomId, room);
  });
  const stop = () => {
    reading += 1;
    clearTimeout(timer);
    stopEvents();
  };
  return stop;
}
