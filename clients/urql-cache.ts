import { gql } from '@urql/core';
import type { Cache, CacheExchangeOpts, Data, ResolveInfo } from '@urql/exchange-graphcache';
import { type Attachment, entitiesOf, typeOf } from './attachments.js';

/**
 * The options of graphcache for the operations in `clients/operations`. Everything with an `id` is in the store once, so what an
 * event brings of a message, a member or a room is seen by every query that shows it. Two types have no `id`: a presence is its
 * user's, and a typing list its room's.
 *
 * The history of a room is kept as one link from the room to each message: `entry` for what pages and events have brought, `sent`
 * for what the viewer has sent and neither has brought yet. A link is added or taken away without the others, so a message that
 * is shown before its answer never becomes part of what was read. `Room.messages` with `last` returns all of them, in the order
 * of `seq`. The list of rooms is kept in the same way, as links `listed` from the query.
 */
export const cacheOptions: CacheExchangeOpts = {
  keys: {
    Presence: ({ user }) => (user as Data | undefined)?.id?.toString() ?? null,
    TypingState: ({ roomId }) => roomId?.toString() ?? null,
    // Parts of what has them.
    Limits: () => null,
    MessageRead: () => null,
    SystemNotice: () => null,
    UploadHeader: () => null,
  },
  possibleTypes: {
    Node: ['Room', 'Message', 'RoomMember', 'User'],
    RoomEvent: [
      ...['MessageAdded', 'MessageUpdated', 'MessageDeleted', 'MemberRead', 'MembersRead'],
      ...['RoomReady', 'RoomResync'],
    ],
  },
  resolvers: { Room: { messages: readHistory }, Query: { rooms: readRooms } },
  updates: {
    Room: { messages: addPage },
    Query: { rooms: addRooms },
    Mutation: { sendMessage: addSent },
    Subscription: {
      roomEvents: addEvent,
      inboxEvents: changeRooms,
      presence: ({ presence }: { presence: Data }, _args, cache) =>
        cache.link(presence['user'] as Data, 'presence', presence),
    },
  },
  optimistic: { sendMessage: expectSent },
  logger: (severity, message) => {
    // Without a schema, graphcache expects the fields of every kind of event in each of them.
    const isOfOtherEvent = /^Invalid undefined: The field at `(message|members?)`/.test(message);
    if (severity !== 'debug' && !isOfOtherEvent) console[severity](message);
  },
};

/** The place of the first message that the server has not given one yet: behind all others. */
export const firstPendingSeq = 2 ** 30;

/** A message of the history, as the room links it. */
interface Entry {
  readonly fieldKey: string;
  readonly key: string;
  readonly seq: number;
}

/** In the order of `seq`. */
function entriesOf(cache: Cache, room: string, kind: 'entry' | 'sent'): Entry[] {
  const entries: Entry[] = [];
  for (const { fieldName, fieldKey } of cache.inspectFields(room)) {
    const key = fieldName === kind ? cache.resolve(room, fieldKey) : undefined;
    if (typeof key === 'string') entries.push({ fieldKey, key, seq: Number(cache.resolve(key, 'seq')) });
  }
  return entries.sort((a, b) => a.seq - b.seq);
}

function readHistory(_room: unknown, args: Data, cache: Cache, { parentKey: room }: ResolveInfo) {
  if (args['last'] == null) return cache.resolve(room, 'messages', args);
  const hasPreviousPage = cache.resolve(room, 'hasPreviousPage');
  if (typeof hasPreviousPage !== 'boolean') return undefined;
  const entries = [...entriesOf(cache, room, 'entry'), ...entriesOf(cache, room, 'sent')];
  // An answer that comes after its event may link a message as both.
  const keys = new Set(entries.sort((a, b) => a.seq - b.seq).map(({ key }) => key));
  const edges = [...keys].map((node) => ({ __typename: 'MessageEdge', node, cursor: cache.resolve(node, 'cursor') }));
  return {
    __typename: 'MessageConnection',
    edges,
    pageInfo: {
      __typename: 'PageInfo',
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
      hasPreviousPage,
      hasNextPage: false,
    },
  };
}

type Message = Data & { readonly id: string; readonly seq: number };

interface Page {
  readonly edges: readonly { readonly node: Message }[];
  readonly pageInfo: { readonly hasPreviousPage: boolean };
}

const beginning = gql`
  fragment Beginning on Room {
    id
    hasPreviousPage
  }
`;

/** An older page continues the list where it begins, and is left out if another list has taken the place of that one. */
function addPage(
  { id, messages: page }: { readonly id?: string; readonly messages?: Page | null },
  { last, before }: { readonly last?: number | null; readonly before?: string | null },
  cache: Cache,
  info: ResolveInfo,
): void {
  if (last == null || page == null) return;
  const { parentKey: room } = info;
  const nodes = page.edges.map(({ node }) => node);
  if (before == null) makeRoom(nodes, cache, info);
  else if (before !== cache.resolve(entriesOf(cache, room, 'entry')[0]?.key, 'cursor')) return;
  for (const node of nodes) cache.link(room, 'entry', { id: node.id }, node);
  const isFirst = nodes[0] === undefined || cache.keyOfEntity(nodes[0]) === entriesOf(cache, room, 'entry')[0]?.key;
  if (isFirst) cache.writeFragment(beginning, { id, hasPreviousPage: page.pageInfo.hasPreviousPage });
}

/**
 * A newest page takes the place of what it does not reach (between the two, messages would be missing), and of everything if
 * `isAnew` is among the variables. Otherwise the list keeps what is older, and what came since the page was read.
 */
function makeRoom(nodes: readonly Message[], cache: Cache, info: ResolveInfo): void {
  const { parentKey: room, parentFieldKey: page } = info;
  const isAnew = info.variables['isAnew'] === true;
  const [oldest = 0, newest = 0] = [nodes[0]?.seq, nodes.at(-1)?.seq];
  const keys = new Set(nodes.map((node) => cache.keyOfEntity(node)));
  const [entries, sent] = [entriesOf(cache, room, 'entry'), entriesOf(cache, room, 'sent')];
  const isReached = !isAnew && entries.some(({ key }) => keys.has(key));
  const isGone = ({ seq }: Entry) => isAnew || (seq < oldest ? !isReached : seq <= newest);
  for (const { fieldKey } of entries.filter((entry) => !keys.has(entry.key) && isGone(entry)))
    cache.invalidate(room, fieldKey);
  for (const { fieldKey } of sent.filter((entry) => keys.has(entry.key) || isGone(entry)))
    cache.invalidate(room, fieldKey);
  if (isReached) return;
  for (const { fieldName, fieldKey } of cache.inspectFields(room))
    if (fieldName === 'messages' && fieldKey !== page) cache.invalidate(room, fieldKey);
}

interface RoomEvent {
  readonly __typename: string;
  readonly seq: number;
  readonly epoch: string;
  readonly message?: Message;
}

const position = gql`
  fragment Position on Room {
    id
    seq
    epoch
  }
`;

/** What an event brings of messages and members is in the store already; the list of messages is not. */
function addEvent(
  { roomEvents: { __typename, seq, epoch, message } }: { readonly roomEvents: RoomEvent },
  { roomId: id }: { readonly roomId: string },
  cache: Cache,
): void {
  // After a resync the room is read again, and marks are not part of the log.
  if (['RoomResync', 'MemberRead', 'MembersRead'].includes(__typename)) return;
  cache.writeFragment(position, { id, seq, epoch });
  if (__typename !== 'MessageAdded' || message === undefined) return;
  const room = roomKey(cache, id);
  cache.link(room, 'entry', { id: message.id }, message);
  cache.invalidate(room, 'sent', { id: message.id });
}

// A type, as graphcache asks for an index signature.
type Send = { readonly input: { readonly id: string; readonly roomId: string; readonly content?: string } };

/** Before the answer and again with it. */
function addSent(
  { sendMessage }: { readonly sendMessage?: { readonly message: Message } | null },
  { input: { roomId } }: Send,
  cache: Cache,
): void {
  if (sendMessage == null) return;
  const { message } = sendMessage;
  const room = roomKey(cache, roomId);
  if (cache.resolve(room, 'entry', { id: message.id }) === undefined)
    cache.link(room, 'sent', { id: message.id }, message);
}

/** The answer to expect if there is a `sender` among the variables: behind all others until the server gives it its place. */
function expectSent({ input: { id, roomId, content = '' } }: Send, cache: Cache, { variables }: ResolveInfo) {
  const sender = variables['sender'] as { readonly id: string; readonly name: string } | undefined;
  const attachments = (variables['attachments'] ?? []) as readonly Attachment[];
  if (sender === undefined) return null;
  const message = cache.keyOfEntity({ __typename: 'Message', id });
  const sent = entriesOf(cache, roomKey(cache, roomId), 'sent');
  return {
    __typename: 'SendMessagePayload',
    duplicate: false,
    message: {
      __typename: 'Message',
      id,
      seq: cache.resolve(message, 'seq') ?? Math.max(firstPendingSeq, (sent.at(-1)?.seq ?? 0) + 1),
      cursor: '',
      type: typeOf(attachments),
      content,
      senderName: sender.name,
      sender: { __typename: 'User', ...sender },
      createdAt: new Date().toISOString(),
      editedAt: null,
      deletedAt: null,
      attachments: entitiesOf(attachments),
    },
  };
}

const roomKey = (cache: Cache, id: string): string => cache.keyOfEntity({ __typename: 'Room', id }) ?? '';

interface Rooms {
  readonly edges: readonly { readonly node: Data & { readonly id: string } }[];
  readonly pageInfo: { readonly endCursor: string | null; readonly hasNextPage: boolean };
}

const end = gql`
  fragment End on Query {
    __typename
    roomsEnd
    hasMoreRooms
  }
`;

/** The rooms that are listed, the newest activity first. */
function roomsOf(cache: Cache) {
  const rooms: { readonly fieldKey: string; readonly key: string; readonly updatedAt: string }[] = [];
  for (const { fieldName, fieldKey } of cache.inspectFields('Query')) {
    const key = fieldName === 'listed' ? cache.resolve('Query', fieldKey) : undefined;
    if (typeof key === 'string') rooms.push({ fieldKey, key, updatedAt: String(cache.resolve(key, 'updatedAt')) });
  }
  return rooms.sort((a, b) => b.updatedAt.localeCompare(a.updatedAt));
}

/** All pages that were read, as one list. `rooms(type:)` is another list, which events do not change. */
function readRooms(_query: unknown, args: Data, cache: Cache) {
  const hasNextPage = cache.resolve('Query', 'hasMoreRooms');
  if (args['type'] != null) return cache.resolve('Query', 'rooms', args);
  if (typeof hasNextPage !== 'boolean') return undefined;
  return {
    __typename: 'RoomConnection',
    edges: roomsOf(cache).map(({ key }) => ({ __typename: 'RoomEdge', node: key })),
    pageInfo: { __typename: 'PageInfo', endCursor: cache.resolve('Query', 'roomsEnd') ?? null, hasNextPage },
  };
}

/** A first page takes the place of everything if `isAnew` is among the variables. A next page continues the list. */
function addRooms(
  { rooms: page }: { readonly rooms?: Rooms | null },
  { after, type }: { readonly after?: string | null; readonly type?: string | null },
  cache: Cache,
  { variables }: ResolveInfo,
): void {
  if (page == null || type != null) return;
  const nodes = page.edges.map(({ node }) => node);
  const keys = new Set(nodes.map((node) => cache.keyOfEntity(node)));
  const known = roomsOf(cache);
  const isAnew = variables['isAnew'] === true;
  if (after != null && after !== cache.resolve('Query', 'roomsEnd')) return;
  if (isAnew) for (const { key, fieldKey } of known) if (!keys.has(key)) cache.invalidate('Query', fieldKey);
  for (const node of nodes) cache.link('Query', 'listed', { id: node.id }, node);
  if (after == null && !isAnew && known.length > 0) return;
  const { endCursor, hasNextPage } = page.pageInfo;
  cache.writeFragment(end, { __typename: 'Query', roomsEnd: endCursor, hasMoreRooms: hasNextPage });
}

/** A room is listed unless its place is on a page that was not read. */
function changeRooms(
  {
    inboxEvents: { roomId, room },
  }: { readonly inboxEvents: { readonly roomId: string | null; readonly room: Data | null } },
  _args: unknown,
  cache: Cache,
): void {
  if (roomId === null) return;
  if (room === null) {
    cache.invalidate('Query', 'listed', { id: roomId });
    return;
  }
  const oldest = roomsOf(cache).at(-1)?.updatedAt ?? '';
  if (cache.resolve('Query', 'hasMoreRooms') === true && String(room['updatedAt']) < oldest) return;
  cache.link('Query', 'listed', { id: roomId }, room);
}
