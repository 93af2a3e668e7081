import { randomUUID } from 'node:crypto';
import { execute, parse } from 'graphql';
import pg from 'pg';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { syncBooking } from '../../src/db/bookings.js';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { createPresenceStore } from '../../src/db/presence.js';
import { markRead as mark } from '../../src/db/read-marks.js';
import { appendMessage, createRoom, deleteMessage } from '../../src/db/room-log.js';
import { roomParts } from '../../src/db/rooms.js';
import type { ChatError } from '../../src/domain/errors.js';
import { Slices } from '../../src/domain/slices.js';
import { viewerOf } from '../../src/domain/viewer.js';
import { LoadGauge } from '../../src/pubsub/live/load-gauge.js';
import { Presences } from '../../src/pubsub/live/presence/presences.js';
import { createNatsPubSub } from '../../src/pubsub/nats/nats-pub-sub.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { createBatches } from '../../src/resolvers/batches.js';
import type { Deps } from '../../src/resolvers/deps.js';
import {
  loadLastMessage,
  loadMemberCount,
  loadMemberUsers,
  loadTitle,
  loadUnreadCount,
} from '../../src/resolvers/loaders.js';
import { NameCache } from '../../src/resolvers/name-cache.js';
import { listRooms } from '../../src/resolvers/rooms.js';
import type { Context } from '../../src/schema/context.js';
import { schema } from '../../src/schema/index.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { createLoaders } from '../support/loaders.js';
import { startNats, type TestNats } from '../support/nats.js';
import { history, markRead, presenceOf, roomList } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';

const viewerId = 4;
const roomCount = 20;
const messagesPerRoom = 50;

let database: TestDatabase;
let db: Database;
const roomIds: string[] = [];

beforeAll(async () => {
  database = await createDatabase();
  db = connectDatabase({ url: database.url });
  for (let index = 0; index < roomCount; index += 1) roomIds.push(await writeRoom(index));
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  await db.close();
  await database.drop();
});

/** A room with its own other members: everybody writes, some read, and the last message is deleted. */
async function writeRoom(index: number): Promise<string> {
  const isDirect = index % 4 === 0;
  const others = (isDirect ? [0] : [0, 1, 2]).map((other) => 10 * (index + 1) + other);
  const { roomId } = await createRoom(db, {
    id: randomUUID(),
    type: isDirect ? 'DIRECT' : 'GROUP',
    name: null,
    directKey: isDirect ? `${viewerId}:${others[0]}` : null,
    creatorId: viewerId,
    memberIds: [viewerId, ...others],
    messageId: randomUUID(),
  });
  const writers = [...others, viewerId];
  const ids = Array.from({ length: messagesPerRoom }, () => randomUUID());
  for (const [place, id] of ids.entries()) {
    const senderId = writers[place % writers.length] ?? viewerId;
    await appendMessage(db, { id, roomId, senderId, type: 'TEXT', content: `${place}` });
    if (place === messagesPerRoom - 1) await deleteMessage(db, id, senderId);
  }
  await mark(db, { roomId, userId: viewerId, messageId: ids[10] ?? '' });
  for (const [place, userId] of others.entries())
    await mark(db, { roomId, userId, messageId: ids.at(-1 - 10 * place) ?? '' });
  return roomId;
}

/** The result of the operation, and the number of statements that it sent to PostgreSQL. */
async function measure(document: { toString(): string }, variableValues: Record<string, unknown>) {
  const { data, errors, statements } = await ask(document, variableValues);
  expect(errors).toBeUndefined();
  return { data: data as Answer, statements };
}

const largest = { maxPageSize: 100, maxComplexity: 1_000_000, maxEventComplexity: 1_000, maxRoomMembers: 500 };

const contextOf = (deps: Deps, userId = viewerId): Context => ({
  deps,
  isBehind: () => false,
  turnTaker: userId,
  viewer: { userId, name: undefined, avatarUrl: undefined, issuedAt: new Date(), expiresAt: new Date() },
});

async function ask(
  document: { toString(): string },
  variableValues: Record<string, unknown>,
  { limits = largest, userId = viewerId, feeds = {} } = {},
) {
  const contextValue = contextOf(
    { db, ...createLoaders(db), slices: new Slices(), limits, feeds, changeRate: null } as unknown as Deps,
    userId,
  );
  const query = vi.spyOn(pg.Client.prototype, 'query');
  const { data, errors } = await execute({ schema, document: parse(`${document}`), variableValues, contextValue });
  const statements = query.mock.calls.filter(([statement]) => !isOfOpening(statement)).length;
  query.mockRestore();
  return { data: JSON.parse(JSON.stringify(data)) as unknown, errors, statements };
}

/** Whether this is the first statement of a new connection. */
const isOfOpening = (statement: unknown): boolean => (statement as { text: string }).text.includes('set_config');

interface Answer {
  readonly rooms: { readonly edges: { readonly node: { readonly unreadCount: number; readonly title: string } }[] };
  readonly room: { readonly messages: { readonly edges: { readonly node: { readonly readCount: number } }[] } };
}

it('lists 20 rooms with title, last message, unread count and members in as many queries as 2', async () => {
  const two = await measure(roomList, { first: 2 });
  const twenty = await measure(roomList, { first: 20 });

  expect([two, twenty].map(({ data }) => data.rooms.edges.length)).toEqual([2, 20]);
  expect(twenty.data.rooms.edges.every(({ node }) => node.title !== '' && node.unreadCount > 0)).toBe(true);
  expect(twenty.statements).toBe(two.statements);
  expect(twenty.statements).toBeLessThanOrEqual(8);
});

it('moves a read mark, and answers with the room, the membership and the unread count, in one query', async () => {
  const roomId = roomIds[1] ?? '';
  const { data: page } = await ask(history, { id: roomId, last: 3 });
  const { edges } = (page as { room: { messages: { edges: { node: { id: string; seq: number } }[] } } }).room.messages;
  const node = edges[0]?.node;
  const feeds = { publishState: vi.fn() };

  const input = { roomId, messageId: node?.id };
  const [moved, repeated] = [await ask(markRead, { input }, { feeds }), await ask(markRead, { input }, { feeds })];

  expect([moved.errors, moved.statements, repeated.statements]).toEqual([undefined, 1, 1]);
  const lastReadSeq = node?.seq;
  expect(moved.data).toMatchObject({
    markRead: { room: { id: roomId, unreadCount: 1, viewerMember: { lastReadSeq, lastReadMessageId: node?.id } } },
  });
  expect(repeated.data).toEqual(moved.data);
  expect(feeds.publishState).toHaveBeenCalledTimes(1);
});

it('pages 50 messages with their readers and read counts in as many queries as 2', async () => {
  const two = await measure(history, { id: roomIds[1], last: 2 });
  const fifty = await measure(history, { id: roomIds[1], last: 50 });

  expect([two, fifty].map(({ data }) => data.room.messages.edges.length)).toEqual([2, 50]);
  expect(fifty.data.room.messages.edges.some(({ node }) => node.readCount > 1)).toBe(true);
  expect(fifty.statements).toBe(two.statements);
  expect(fifty.statements).toBeLessThanOrEqual(5);
});

it('pages 50 messages with senders, read counts and unread members in one query, with what the viewer may do in two', async () => {
  const page = (fields: string) =>
    `query ($id: ID!) { room(id: $id) { messages(last: 50) { edges { node { id cursor ${fields} } } } } }`;
  const counts = 'sender { name } readCount unreadMemberCount';
  const counted = await ask(page(counts), { id: roomIds[1] });
  const offered = await ask(page(`${counts} viewerCanEdit viewerCanDelete`), { id: roomIds[1] });

  expect([counted.errors, offered.errors]).toEqual([undefined, undefined]);
  expect([counted.statements, offered.statements]).toEqual([1, 2]);
});

it('pages 50 messages around one of them in one query beside that of the room', async () => {
  const { data } = await ask(history, { id: roomIds[1], last: 50 });
  const { edges } = (data as { room: { messages: { edges: { node: { id: string } }[] } } }).room.messages;
  const around = `query ($id: ID!, $messageId: ID!) { room(id: $id) {
    messagesAround(messageId: $messageId) { edges { node { id sender { name } readCount unreadMemberCount } } }
  } }`;
  const { errors, statements } = await ask(around, { id: roomIds[1], messageId: edges[20]?.node.id });

  expect([errors, statements]).toEqual([undefined, 2]);
});

it('pages the members of 20 rooms, and counts them, in as many queries as those of 2', async () => {
  const page = 'memberPage(first: 2) { totalCount edges { node { id isAdmin joinedAt lastReadAt user { id name } } } }';
  const ofRooms = (fields: string) => `query ($first: Int) { rooms(first: $first) { edges { node { ${fields} } } } }`;
  const member = 'id isAdmin joinedAt lastReadAt user { id name }';
  const two = await measure(ofRooms(page), { first: 2 });
  const twenty = await measure(ofRooms(page), { first: 20 });
  const all = await measure(ofRooms(`members { ${member} } ${page}`), { first: 20 });

  type Rooms = { rooms: { edges: { node: { members: unknown[]; memberPage: unknown } }[] } };
  const pages = (data: unknown) => (data as Rooms).rooms.edges.map(({ node }) => node.memberPage);
  const firstOfAll = (all.data as unknown as Rooms).rooms.edges.map(({ node: { members } }) => ({
    totalCount: members.length,
    edges: members.slice(0, 2).map((node) => ({ node })),
  }));
  expect(firstOfAll).toHaveLength(20);
  expect([pages(twenty.data), pages(all.data)]).toEqual([firstOfAll, firstOfAll]);
  expect([two, twenty, all].map(({ statements }) => statements)).toEqual([2, 2, 1]);
});

it('reads a page of members in the statement that reads the room, and another page of the same room apart', async () => {
  const member = 'edges { node { id isAdmin joinedAt user { id name } } } pageInfo { hasNextPage endCursor }';
  const ofRoom = (fields: string) =>
    `query ($id: ID!) { room(id: $id) { messages(last: 2) { edges { node { seq } } } ${fields} } }`;
  type Page = { edges: { node: object }[]; pageInfo: { hasNextPage: boolean; endCursor: string } };
  const pagesOf = async (fields: string) => {
    const { data, statements } = await measure(ofRoom(fields), { id: roomIds[1] });
    const { messages: _, ...pages } = data.room as unknown as Record<string, Page>;
    return { ...pages, statements } as { first: Page; second?: Page; statements: number };
  };

  const { first, statements } = await pagesOf(`first: memberPage(first: 3) { ${member} }`);
  expect([first.edges.length, first.pageInfo.hasNextPage, statements]).toEqual([3, true, 1]);

  const after = `memberPage(first: 3, after: ${JSON.stringify(first.pageInfo.endCursor)}) { ${member} }`;
  const rest = await pagesOf(`first: ${after}`);
  expect([rest.first.edges.length, rest.first.pageInfo.hasNextPage, rest.statements]).toEqual([1, false, 1]);

  const both = await pagesOf(`first: memberPage(first: 3) { ${member} } second: ${after}`);
  expect(both).toEqual({ first, second: rest.first, statements: 2 });
});

it('reads names that expired together in one statement, if they were used', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const nameCache = new NameCache({ isComplete: true });
  const deps = { nameCache, batches: createBatches(db, nameCache) } as unknown as Deps;
  const [roomId = ''] = roomIds;
  const pair = [viewerId, 10];
  const [unused, ...used] = [20, 21, 22, 30];
  await deps.batches.users.loadMany([unused ?? 0, ...used]);
  await loadMemberUsers(deps, roomId, pair, () => {});
  for (const userId of used) nameCache.get(userId);
  vi.advanceTimersByTime(61_000);

  const query = vi.spyOn(pg.Client.prototype, 'query');
  const users = await loadMemberUsers(deps, roomId, pair, () => {});

  expect(users.map(({ id }) => id)).toEqual(pair);
  expect(query).toHaveBeenCalledTimes(1);
  expect(used.map((userId) => nameCache.get(userId)?.id)).toEqual(used);
  expect(nameCache.get(unused ?? 0)).toBeUndefined();
});

it('refuses a list of rooms with too many members within the statement that would read them', async () => {
  const userId = 900;
  await createRoom(db, {
    id: randomUUID(),
    type: 'GROUP',
    name: null,
    directKey: null,
    creatorId: userId,
    memberIds: Array.from({ length: 60 }, (_, place) => userId + place),
    messageId: randomUUID(),
  });
  const list = '{ rooms(first: 5) { edges { node { id members { user { name } } } } } }';
  // Ten members of each of five rooms are paid for in advance; fifty of one room remain, with three fields each.
  const paid = 1 + 5 * (4 + 10 * 2);
  const tell = (maxComplexity: number) =>
    ask(list, {}, { limits: { ...largest, maxComplexity, maxRoomMembers: 0 }, userId });
  const [fits, tooMany] = [await tell(paid + 50 * 3), await tell(paid + 3)];

  expect(fits.errors).toBeUndefined();
  expect(fits.data).toMatchObject({ rooms: { edges: [{ node: { members: { length: 60 } } }] } });
  expect(tooMany.errors?.map(({ path, message }) => [path, message])).toEqual([
    [['rooms'], expect.stringMatching(/would touch \d+ fields or more; at most 124 are allowed/)],
  ]);
  expect([fits.statements, tooMany.statements]).toEqual([1, 1]);
});

it('loads the room of a message with its parts in one statement for all viewers who receive it', async () => {
  const [message] = await database.query<{ id: string; seq: number }>(
    `SELECT id, seq FROM chat_messages WHERE room_id = $1 AND type = 'TEXT' ORDER BY seq LIMIT 1`,
    [roomIds[1]],
  );
  const event = {
    kind: 'added',
    message: { ...message, roomId: roomIds[1], senderId: viewerId, senderName: 'kim', createdAt: new Date() },
  };
  const document = parse(`subscription { messageAdded(roomId: "${roomIds[1]}") {
    id room { title members { id isAdmin user { id name } } } } }`);
  const tell = async (viewerIds: readonly number[]) => {
    const deps = { db, ...createLoaders(db), limits: largest } as unknown as Deps;
    const query = vi.spyOn(pg.Client.prototype, 'query');
    const told = await Promise.all(
      viewerIds.map((userId) => execute({ schema, document, rootValue: event, contextValue: contextOf(deps, userId) })),
    );
    const statements = query.mock.calls.filter(([statement]) => !isOfOpening(statement)).length;
    query.mockRestore();
    for (const { errors, data } of told) {
      expect(errors).toBeUndefined();
      expect(data).toMatchObject({ messageAdded: { room: { members: { length: 4 } } } });
    }
    return statements;
  };

  expect([await tell([viewerId]), await tell([viewerId, 20, 21, 22])]).toEqual([1, 1]);
});

it('loads the parts of rooms that came without them in one statement, if they are requested in one turn', async () => {
  const deps = { db, ...createLoaders(db), limits: largest } as unknown as Deps;
  const viewer = viewerOf(viewerId);
  const rooms = (await listRooms(deps, viewer, { first: 2 })).rows.map(({ preloaded, ...room }) => room);
  const whole = await listRooms(deps, viewer, { first: 2 }, { parts: roomParts, memberDetails: [] });
  const query = vi.spyOn(pg.Client.prototype, 'query');

  const parts = await Promise.all(
    rooms.flatMap((room) => [
      loadTitle(deps, viewer, room),
      loadUnreadCount(deps, viewer, room),
      loadMemberCount(deps, viewer, room),
      loadLastMessage(deps, viewer, room),
    ]),
  );

  expect(query.mock.calls.filter(([statement]) => !isOfOpening(statement))).toHaveLength(1);
  expect(parts).toEqual(
    whole.rows.flatMap(({ name, preloaded }) => [
      name ?? preloaded?.title,
      preloaded?.unreadCount,
      preloaded?.memberCount,
      preloaded?.lastMessage,
    ]),
  );
});

describe('the preloaded part of a room', () => {
  const messageFields =
    'id seq type content senderName createdAt editedAt deletedAt system { code } sender { id name } readCount';
  const memberFields = 'id user { id name } isAdmin joinedAt leftAt lastReadSeq lastReadMessageId lastReadAt';
  const pageFields = `edges { cursor node { ${messageFields} } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }`;
  const roomFields = `
    id type name seq bookingId cancelledAt createdAt updatedAt unreadCount memberCount
    lastMessage { ${messageFields} } members { ${memberFields} } viewerMember { ${memberFields} }
    messages(last: 5) { ${pageFields} }`;
  const inList = `query { rooms(first: ${roomCount}) { edges { node { ${roomFields} } } } }`;
  const alone = `query ($id: ID!) { room(id: $id) { ${roomFields} } }`;
  /** The room of a message, which is loaded for all its viewers at once. */
  const loaded = `query ($id: ID!) { message(id: $id) { room { ${roomFields} } } }`;

  it('is equal for one room, for a list and for the room of a message', async () => {
    const list = (await ask(inList, {})).data as { rooms: { edges: { node: RoomAnswer }[] } };
    const rooms = list.rooms.edges.map(({ node }) => node);

    expect(rooms).toHaveLength(roomCount);
    for (const room of rooms) {
      const one = (await ask(alone, { id: room.id })).data;
      const other = (await ask(loaded, { id: room.messages.edges[0]?.node.id })).data;
      expect(one).toEqual({ room });
      expect(other).toEqual({ message: { room } });
      expect(room.messages.edges).toHaveLength(5);
      expect(room.members.length).toBe(room.memberCount);
    }
    expect(rooms.some(({ members }) => members.some(({ lastReadAt }) => lastReadAt !== null))).toBe(true);
  });

  it('takes one statement, also for all rooms of a list', async () => {
    // The authors of last messages are looked up by their numbers, in a second statement for all of them.
    const slim = (document: string) => document.replace(/lastMessage \{[^}]*\} sender \{ id name \} readCount \}/, '');
    expect(slim(inList)).not.toContain('lastMessage');

    const answers = [await ask(slim(inList), {}), await ask(slim(alone), { id: roomIds[0] })];

    expect(answers.map(({ errors }) => errors)).toEqual([undefined, undefined]);
    expect(answers.map(({ statements }) => statements)).toEqual([1, 1]);
  });

  it('is separate for each alias and its arguments', async () => {
    const document = `query ($id: ID!, $no: Boolean!) { room(id: $id) {
      newest: messages(last: 1) { edges { node { seq } } } oldest: messages(first: 2) { edges { node { seq } } }
      members { id } everybody: members(includeLeft: false) { joinedAt lastReadAt user { id } }
      ...F
    } } fragment F on Room { members { lastReadMessageId } unreadCount @skip(if: $no) viewerMember { joinedAt } }`;

    const { data, errors } = await ask(document, { id: roomIds[1], no: true });

    const { room } = (await ask(alone, { id: roomIds[1] })).data as { room: RoomAnswer };
    expect(errors).toBeUndefined();
    expect(data).toEqual({
      room: {
        newest: { edges: [{ node: { seq: room.seq - 1 } }] },
        oldest: { edges: [{ node: { seq: 1 } }, { node: { seq: 2 } }] },
        members: room.members.map(({ id, lastReadMessageId }) => ({ id, lastReadMessageId })),
        everybody: room.members.map(({ joinedAt, lastReadAt, user: { id } }) => ({
          joinedAt,
          lastReadAt,
          user: { id },
        })),
        viewerMember: { joinedAt: room.viewerMember.joinedAt },
      },
    });
  });

  it('is separate for different pages with the same name, above or below each other', async () => {
    const page = (args: string) => `messages(${args}) { edges { node { seq } } }`;
    const document = `{ rooms(first: 1) {
      a: edges { node { ${page('last: 1')} } } b: edges { node { ${page('first: 2')} } }
      edges { x: node { ${page('first: 1')} } y: node { ${page('first: 3')} } }
    } }`;
    const bad = `{ rooms(first: 1) { edges { x: node { ${page('last: 1')} } y: node { ${page('first: 1, last: 1')} } } } }`;

    const [{ data, errors }, refused] = [await ask(document, {}), await ask(bad, {})];

    const { rooms } = (await ask(inList, {})).data as { rooms: { edges: { node: RoomAnswer }[] } };
    const of = (...seqs: (number | undefined)[]) => ({ messages: { edges: seqs.map((seq) => ({ node: { seq } })) } });
    expect(errors).toBeUndefined();
    expect(data).toEqual({
      rooms: {
        a: [{ node: of((rooms.edges[0]?.node.seq ?? 0) - 1) }],
        b: [{ node: of(1, 2) }],
        edges: [{ x: of(1), y: of(1, 2, 3) }],
      },
    });
    expect(refused.errors?.map(({ path }) => path)).toEqual([['rooms', 'edges', 0, 'y', 'messages']]);
  });

  it('is refused by its own field if the arguments are wrong', async () => {
    const { room } = (await ask(alone, { id: roomIds[0] })).data as { room: RoomAnswer };
    const foreign = room.messages.pageInfo.endCursor;
    const page = `messages(last: $last, before: $before) { edges { node { seq } } }`;
    const one = `query ($id: ID!, $last: Int, $before: String) { room(id: $id) { seq ${page} } }`;
    const many = `query ($last: Int, $before: String) { rooms(first: 1) { edges { node { seq ${page} } } } }`;

    const forged = ['null', 'undefined', ''].map((id) => Buffer.from(`message ${id} 5`).toString('base64url'));
    const answers = [
      await ask(one, { id: roomIds[1], last: 1_000 }),
      await ask(one, { id: roomIds[1], last: 1, before: foreign }),
      await ask(many, { last: 1, before: foreign }),
      ...(await Promise.all(forged.map((before) => ask(many, { last: 1, before })))),
    ];

    const told = answers.map(({ errors = [] }) =>
      errors.map(({ path, originalError }) => [path, (originalError as ChatError).code]),
    );
    expect(told).toEqual([
      [[['room', 'messages'], 'BAD_USER_INPUT']],
      [[['room', 'messages'], 'BAD_USER_INPUT']],
      ...Array.from({ length: 4 }, () => [[['rooms', 'edges', 0, 'node', 'messages'], 'BAD_USER_INPUT']]),
    ]);
  });

  it('is null for a room that the viewer is not in', async () => {
    const { data, errors } = await ask(alone, { id: randomUUID() });

    expect([data, errors]).toEqual([{ room: null }, undefined]);
  });

  it('is counted once if all unread messages are requested several times', async () => {
    const { data, errors, statements } = await ask('{ a: unreadCount b: unreadCount c: unreadCount }', {});

    expect(errors).toBeUndefined();
    expect(statements).toBe(1);
    const { a, b, c } = data as Record<string, number>;
    expect([b, c]).toEqual([a, a]);
  });

  it('is also loaded with the room of a booking, including the next page from a cursor', async () => {
    const [bookingId, name] = [7, 'booking'];
    const ids = { roomId: randomUUID(), messageIds: [randomUUID(), randomUUID(), randomUUID(), randomUUID()] as const };
    const members = [viewerId, 11].map((userId) => ({ userId, userName: `user ${userId}` }));
    await syncBooking(db, { bookingId, name, members, version: 1, cancelled: false }, ids);
    for (const content of ['one', 'two']) {
      await appendMessage(db, { id: randomUUID(), roomId: ids.roomId, senderId: 11, type: 'TEXT', content });
    }
    const document = `query ($before: String) { bookingRoom(bookingId: ${bookingId}) {
      id unreadCount members { user { name } } messages(last: 2, before: $before) {
        edges { node { content sender { name } } } pageInfo { startCursor }
      }
    } }`;

    const first = await ask(document, {});
    const { bookingRoom } = first.data as { bookingRoom: { messages: { pageInfo: { startCursor: string } } } };
    const next = await ask(document, { before: bookingRoom.messages.pageInfo.startCursor });

    expect([first.errors, next.errors]).toEqual([undefined, undefined]);
    expect(first.statements).toBe(1);
    expect(bookingRoom).toMatchObject({
      id: ids.roomId,
      unreadCount: 2,
      members: [{ user: { name: 'user 4' } }, { user: { name: 'user 11' } }],
      messages: { edges: ['one', 'two'].map((content) => ({ node: { content, sender: { name: 'user 11' } } })) },
    });
    const { edges } = (next.data as { bookingRoom: { messages: { edges: unknown[] } } }).bookingRoom.messages;
    expect(edges).toHaveLength(1);
    expect(edges).not.toMatchObject([{ node: { content: 'one' } }]);
  });
});

interface RoomAnswer {
  readonly id: string;
  readonly seq: number;
  readonly memberCount: number;
  readonly members: readonly MemberAnswer[];
  readonly viewerMember: MemberAnswer;
  readonly messages: {
    readonly edges: readonly { readonly node: { readonly id: string } }[];
    readonly pageInfo: { readonly endCursor: string };
  };
}

interface MemberAnswer {
  readonly id: string;
  readonly user: { readonly id: string };
  readonly joinedAt: string;
  readonly lastReadMessageId: string | null;
  readonly lastReadAt: string | null;
}

describeWithNats('presence', () => {
  const userIds = Array.from({ length: 500 }, (_, place) => 1_000 + place);
  let nats: TestNats;
  let pubsub: PubSub;
  let presences: Presences;
  let load: LoadGauge;

  beforeAll(async () => {
    await createRoom(db, {
      id: randomUUID(),
      type: 'GROUP',
      name: null,
      directKey: null,
      creatorId: viewerId,
      memberIds: [viewerId, ...userIds],
      messageId: randomUUID(),
    });
    nats = await startNats();
    const log = pino({ level: 'silent' });
    pubsub = createNatsPubSub({ ...nats, creds: undefined, replicas: 1, replyPrefixes: [] }, log);
    await waitFor(() => pubsub.isConnected, { what: 'the connection' });
    load = new LoadGauge();
    presences = new Presences({
      pubsub,
      store: createPresenceStore(db),
      load,
      log,
      maxWatchedUsers: 500,
      isTrusted: () => true,
    });
  });
  afterAll(async () => {
    presences.close();
    load.close();
    await pubsub.close();
    await nats.stop();
  });

  it('is first sent for 500 users in as many queries as for 2, and frees everything at the end', async () => {
    const watch = async (ids: readonly number[]) => {
      const query = vi.spyOn(pg.Client.prototype, 'query');
      const told = await presences.watch(viewerId, ids, () => false);
      const users = new Set<number>();
      for (const _id of ids) users.add((await told.next()).value?.userId ?? 0);
      expect([...users].sort()).toEqual([...ids].sort());
      // No background task sends this query.
      const statements = query.mock.calls.filter(([sent]) => JSON.stringify(sent).includes('a.viewer_id')).length;
      query.mockRestore();
      return { statements, told };
    };
    // Two users are watched twice: they are freed with the second watch.
    const [two, fiveHundred] = [await watch(userIds.slice(0, 2)), await watch(userIds)];

    expect(fiveHundred.statements).toBe(1);
    expect(two.statements).toBe(1);
    // One subject is for presence changes, and one for rooms that begin and end.
    expect([presences.size, pubsub.subjectCount]).toEqual([500, 2]);
    const waiting = fiveHundred.told.next();
    await fiveHundred.told.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect([presences.size, pubsub.subjectCount]).toEqual([2, 2]);
    await two.told.return?.();
    expect([presences.size, pubsub.subjectCount]).toEqual([0, 0]);
  });

  it('is listed for 100 users in as many queries as for 2', async () => {
    const two = await measure(presenceOf, { ids: userIds.slice(0, 2).map(String) });
    const hundred = await measure(presenceOf, { ids: userIds.slice(0, 100).map(String) });

    const { users } = hundred.data as unknown as { users: { presence: { status: string } }[] };
    expect(users.map(({ presence }) => presence.status)).toEqual(Array.from({ length: 100 }, () => 'OFFLINE'));
    expect(hundred.statements).toBe(two.statements);
    expect(hundred.statements).toBeLessThanOrEqual(4);
  });
});
