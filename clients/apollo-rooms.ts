import type { ApolloClient, DocumentNode } from '@apollo/client';
import { type Rooms, withRoom } from './apollo-cache.js';
import { watchLive } from './apollo-live.js';
import { codeOf, pauseMsOf } from './apollo-room.js';

/** The operations of `clients/operations`, as your code generation or loader gives them. */
export interface RoomsDocuments {
  readonly RoomList: DocumentNode;
  readonly InboxEvents: DocumentNode;
}

interface ListedRoom {
  readonly __typename?: string;
  readonly id: string;
  readonly updatedAt: string;
}

interface RoomList {
  readonly rooms: {
    readonly edges: readonly { readonly __typename?: string; readonly node: ListedRoom }[];
    readonly pageInfo: { readonly endCursor: string | null; readonly hasNextPage: boolean };
  };
}

interface InboxEvents {
  readonly inboxEvents: { readonly kind: string; readonly roomId: string | null; readonly room: ListedRoom | null };
}

/** The rooms of a page. */
export const roomsPageSize = 50;

/**
 * Keeps the list of rooms in the store current, newest activity first. It is read when all changes from then on are delivered, and
 * again after a break: as many pages as were shown. Show it with
 * `client.watchQuery({ query: RoomList, variables: { first: roomsPageSize }, fetchPolicy: 'cache-only' })`, and read the next page
 * with `fetchMore({ variables: { after: pageInfo.endCursor } })`.
 * @param onEnd - called once if it has ended for good, with the code of the refusal
 * @returns how to stop
 */
export function watchRooms(
  client: ApolloClient,
  { RoomList, InboxEvents }: RoomsDocuments,
  onEnd: (code: string) => void,
): () => void {
  const { cache } = client;
  const variables = { first: roomsPageSize };
  /** The changes since the reading began, null for a removal. */
  let changes = new Map<string, ListedRoom | null>();
  let reading = 0;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const readPages = async (): Promise<RoomList> => {
    const shown = cache.readQuery<RoomList>({ query: RoomList, variables })?.rooms.edges.length ?? 0;
    const edges: RoomList['rooms']['edges'][number][] = [];
    for (let after: string | null = null; ; ) {
      const { data }: ApolloClient.QueryResult<RoomList> = await client.query<RoomList>({
        ...{ query: RoomList, variables: { ...variables, after }, fetchPolicy: 'no-cache' },
      });
      if (data === undefined) throw new Error('No answer');
      edges.push(...data.rooms.edges);
      const { endCursor, hasNextPage }: RoomList['rooms']['pageInfo'] = data.rooms.pageInfo;
      if (!hasNextPage || edges.length >= shown) return { ...data, rooms: { ...data.rooms, edges } };
      after = endCursor;
    }
  };
  const begin = async () => {
    clearTimeout(timer);
    reading += 1;
    const own = reading;
    changes = new Map();
    const data = await readPages().catch((error: unknown) => {
      if (own === reading) fail(error);
      return undefined;
    });
    if (data === undefined || own !== reading) return;
    failures = 0;
    // An event is newer than the pages, which were on their way.
    const edges = data.rooms.edges.filter(({ node }) => changes.get(node.id) !== null);
    const current = edges.map((edge) => ({ ...edge, node: changes.get(edge.node.id) ?? edge.node }));
    cache.writeQuery({ query: RoomList, variables, data: { ...data, rooms: { ...data.rooms, edges: current } } });
    for (const [id, room] of changes) if (room !== null) add(id);
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
  const add = (id: string) => {
    cache.modify<{ rooms: Rooms }>({
      fields: {
        rooms: (rooms, { readField, toReference, storeFieldName }) => {
          const room = toReference({ __typename: 'Room', id });
          if (room === undefined || !('edges' in rooms) || storeFieldName.includes('"type"')) return rooms;
          return withRoom(rooms, room, (node) => readField<string>('updatedAt', node) ?? '');
        },
      },
    });
  };
  const remove = (id: string) => {
    cache.evict({ id: cache.identify({ __typename: 'Room', id }) ?? '' });
    cache.gc();
  };
  const apply = ({ inboxEvents: { kind, roomId, room } }: InboxEvents) => {
    if (kind === 'READY') void begin();
    if (roomId === null) return;
    changes.set(roomId, room);
    if (room !== null) add(roomId);
    else remove(roomId);
  };
  const stopEvents = watchLive(client, InboxEvents, {}, onEnd, apply);
  const stop = () => {
    reading += 1;
    clearTimeout(timer);
    stopEvents();
  };
  return stop;
}
