import { type FieldPolicy, InMemoryCache, type Reference } from '@apollo/client';

/** The place of a message that the server has not given one yet: behind all others. */
export const pendingSeq = 2 ** 31 - 1;

/** A page of messages as it is in the store: nodes are references to messages. */
export interface History {
  readonly __typename?: string;
  readonly edges: readonly { readonly __typename?: string; readonly node: Reference }[];
  readonly pageInfo?: Readonly<Record<string, unknown>>;
}

/**
 * The store for the operations in `clients/operations`. Everything with an `id` is there once, so what an event brings of a
 * message, a member or a room is seen by every query that shows it. Two types have no `id`: a presence is its user's, and a
 * typing list its room's.
 */
export const createCache = (): InMemoryCache =>
  new InMemoryCache({
    possibleTypes: {
      RoomEvent: [
        ...['MessageAdded', 'MessageUpdated', 'MessageDeleted', 'MemberRead', 'MembersRead'],
        ...['RoomReady', 'RoomResync'],
      ],
    },
    typePolicies: {
      // `createApolloClient` adds the user to a presence that is read without it.
      Presence: {
        keyFields: ({ user }, { readField }) => keyOf('Presence', readField('id', user as Reference | undefined)),
      },
      User: {
        fields: {
          presence: (found, { readField, toReference, canRead }) => {
            const presence = toReference(keyOf('Presence', readField('id')) || '');
            return found ?? (canRead(presence) ? presence : undefined);
          },
        },
      },
      TypingState: {
        keyFields: ({ roomId }) => keyOf('TypingState', roomId),
        fields: { users: { merge: false } },
      },
      Message: { fields: { attachments: { merge: false } } },
      // What the viewer has sent to a room, by the room's id; only in the store.
      Sent: { fields: { messages: { merge: false } } },
      Subscription: { fields: { roomEvents: { merge: false } } },
      Room: { fields: { messages: history, typing: { merge: false } } },
      Query: {
        fields: {
          rooms: roomList,
          room: {
            // A room that was refused stays null.
            read: (found, { args, toReference }) =>
              found === undefined ? toReference({ __typename: 'Room', id: args?.['id'] }) : found,
          },
        },
      },
    },
  });

/** What has no key is kept where it is found. */
const keyOf = (typename: string, id: unknown) => (id === undefined ? (false as const) : `${typename}:${id}`);

/**
 * All pages of a room that were read with `last` and `before`, and what events have added, as one list in the order of `seq`.
 * The page info is that of the oldest page. A newest page that begins behind all that is there takes its place: between the two,
 * messages would be missing. A page that comes so late that another one has replaced its list is left out.
 *
 * What the viewer has sent is shown behind the list until an event brings it. It is kept apart from the room: Apollo Client copies
 * an object whose change is optimistic, and shows nothing of what happens to it until the answer.
 */
const history: FieldPolicy<History> = {
  keyArgs: false,
  read: (existing, { readField, toReference }) => {
    if (existing === undefined) return undefined;
    const seqOf = (message: Reference) => readField<number>('seq', message) ?? 0;
    const known = new Set(existing.edges.map(({ node }) => node.__ref));
    const newest = Math.max(0, ...existing.edges.map(({ node }) => seqOf(node)).filter((seq) => seq < pendingSeq));
    const sent = toReference({ __typename: 'Sent', id: readField<string>('id') ?? '' });
    const own = (readField<readonly Reference[]>('messages', sent) ?? [])
      .filter((message) => !known.has(message.__ref) && seqOf(message) > newest)
      .sort((a, b) => seqOf(a) - seqOf(b));
    return { ...existing, edges: [...existing.edges, ...own.map((node) => ({ __typename: 'MessageEdge', node }))] };
  },
  // A `refetch` keeps the list too: events may have added what is not on its page.
  merge: (_existing, incoming, { readField, args, existingData }) => {
    const existing = existingData as History | undefined;
    const seqOf = (edge?: History['edges'][number]) => readField<number>('seq', edge?.node) ?? 0;
    const isOlder = args?.['before'] != null;
    const known = new Set(existing?.edges.map(({ node }) => node.__ref));
    if (existing === undefined) return incoming;
    if (isOlder && args['before'] !== existing.pageInfo?.['startCursor']) return existing;
    if (!isOlder && !incoming.edges.some(({ node }) => known.has(node.__ref)))
      return seqOf(incoming.edges.at(-1)) < seqOf(existing.edges.at(-1)) ? existing : incoming;
    const edges = new Map([...existing.edges, ...incoming.edges].map((edge) => [edge.node.__ref, edge]));
    return {
      ...incoming,
      edges: [...edges.values()].sort((a, b) => seqOf(a) - seqOf(b)),
      pageInfo: (isOlder ? incoming : existing).pageInfo ?? {},
    };
  },
};

/** The viewer's rooms as they are in the store. */
export interface Rooms {
  readonly __typename?: string;
  readonly edges: readonly { readonly __typename?: string; readonly node: Reference }[];
  readonly pageInfo?: Readonly<Record<string, unknown>>;
}

/**
 * All pages of the viewer's rooms, in the order of `updatedAt`, the newest first. A first page takes the place of what is there,
 * and a page that does not continue the list is left out. `rooms(type:)` is another list, which events do not change.
 */
const roomList: FieldPolicy<Rooms> = {
  keyArgs: ['type'],
  read: (existing, { readField, canRead }) => {
    if (existing === undefined) return undefined;
    const timeOf = (room: Reference) => readField<string>('updatedAt', room) ?? '';
    const edges = existing.edges.filter(({ node }) => canRead(node));
    return { ...existing, edges: edges.sort((a, b) => timeOf(b.node).localeCompare(timeOf(a.node))) };
  },
  merge: (_existing, incoming, { args, existingData }) => {
    const existing = existingData as Rooms | undefined;
    if (existing === undefined || args?.['after'] == null) return incoming;
    if (args['after'] !== existing.pageInfo?.['endCursor']) return existing;
    const known = new Set(existing.edges.map(({ node }) => node.__ref));
    return { ...incoming, edges: [...existing.edges, ...incoming.edges.filter(({ node }) => !known.has(node.__ref))] };
  },
};

/** The list with a room, unless its place is on a page that was not read; `timeOf` is the `updatedAt` of a room. */
export function withRoom(rooms: Rooms, room: Reference, timeOf: (room: Reference) => string): Rooms {
  if (rooms.edges.some(({ node }) => node.__ref === room.__ref)) return rooms;
  const oldest = rooms.edges.map(({ node }) => timeOf(node)).sort()[0] ?? '';
  if (rooms.pageInfo?.['hasNextPage'] === true && timeOf(room) < oldest) return rooms;
  return { ...rooms, edges: [{ __typename: 'RoomEdge', node: room }, ...rooms.edges] };
}
