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
      Presence: { keyFields: ['user', ['id']] },
      TypingState: { keyFields: ['roomId'], fields: { users: { merge: false } } },
      // What the viewer has sent to a room, by the room's id; only in the store.
      Sent: { fields: { messages: { merge: false } } },
      Subscription: { fields: { roomEvents: { merge: false } } },
      Room: { fields: { messages: history, typing: { merge: false } } },
      Query: {
        fields: {
          room: {
            // A room that was refused stays null.
            read: (found, { args, toReference }) =>
              found === undefined ? toReference({ __typename: 'Room', id: args?.['id'] }) : found,
          },
        },
      },
    },
  });

/**
 * All pages of a room that were read with `last` and `before`, and what events have added, as one list in the order of `seq`.
 * The page info is that of the oldest page. A newest page that does not reach what is there takes its place: between the two,
 * messages would be missing. An older page of a list that another one has replaced is left out.
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
  merge: (existing, incoming, { readField, args }) => {
    const seqOf = ({ node }: History['edges'][number]) => readField<number>('seq', node) ?? 0;
    const isOlder = args?.['before'] != null;
    const known = new Set(existing?.edges.map(({ node }) => node.__ref));
    if (existing === undefined || (!isOlder && !incoming.edges.some(({ node }) => known.has(node.__ref))))
      return incoming;
    if (isOlder && args['before'] !== existing.pageInfo?.['startCursor']) return existing;
    const edges = new Map([...existing.edges, ...incoming.edges].map((edge) => [edge.node.__ref, edge]));
    return {
      ...incoming,
      edges: [...edges.values()].sort((a, b) => seqOf(a) - seqOf(b)),
      pageInfo: (isOlder ? incoming : existing).pageInfo ?? {},
    };
  },
};
