import { randomUUID } from 'node:crypto';
import { execute, parse } from 'graphql';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { roomServices } from '../../src/backends/rooms.js';
import { syncBooking } from '../../src/db/bookings.js';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { appendMessage } from '../../src/db/room-log.js';
import { Slices } from '../../src/domain/slices.js';
import type { Deps } from '../../src/resolvers/deps.js';
import { schema } from '../../src/schema/index.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { createLoaders } from '../support/loaders.js';
import { afterRoomIsRead } from '../support/statements.js';

const [viewerId, bookingId] = [4, 7];
const fields = `
  seq title unreadCount memberCount lastMessage { content } viewerMember { id lastReadSeq }
  members { id isAdmin user { id name } }`;

let database: TestDatabase;
let db: Database;
let roomId: string;
let messageId: string;

beforeAll(async () => {
  database = await createDatabase();
  db = connectDatabase({ url: database.url });
  roomId = randomUUID();
  const messageIds = [randomUUID(), randomUUID(), randomUUID(), randomUUID()] as const;
  const members = [viewerId, 5, 6].map((userId) => ({ userId, userName: `user ${userId}` }));
  const state = { bookingId, name: null, members, version: 1, cancelled: false };
  await syncBooking(db, state, { roomId, messageIds });
  messageId = randomUUID();
  await appendMessage(db, { id: messageId, roomId, senderId: 5, type: 'TEXT', content: '안녕' });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await database.query('UPDATE chat_room_members SET left_at = NULL');
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

const endMembership = () =>
  database.query('UPDATE chat_room_members SET left_at = now() WHERE user_id = $1', [viewerId]);

const createDeps = () =>
  ({
    db,
    ...createLoaders(db),
    slices: new Slices(),
    limits: { maxPageSize: 100, maxComplexity: 1_000_000, maxEventComplexity: 1_000, maxRoomMembers: 500 },
  }) as unknown as Deps;

describe('a room shows one moment, also if the viewer is removed while it is loaded,', () => {
  const whole = {
    seq: 2,
    title: 'user 5, user 6',
    unreadCount: 1,
    memberCount: 3,
    lastMessage: { content: '안녕' },
    viewerMember: { id: expect.any(String), lastReadSeq: 0 },
    members: [viewerId, 5, 6].map((id) => ({
      id: expect.any(String),
      isAdmin: false,
      user: { id: String(id), name: `user ${id}` },
    })),
  };

  it.each([
    ['by its id', () => `{ room(id: "${roomId}") { ${fields} } }`, { room: whole }],
    ['of a booking', () => `{ bookingRoom(bookingId: ${bookingId}) { ${fields} } }`, { bookingRoom: whole }],
    ['in a list', () => `{ rooms { edges { node { ${fields} } } } }`, { rooms: { edges: [{ node: whole }] } }],
    [
      'of a message in an event',
      () => `subscription { messageAdded(roomId: "${roomId}") { room { ${fields} } } }`,
      { messageAdded: { room: whole } },
    ],
  ])('%s', async (_what, document, expected) => {
    const message = { id: messageId, seq: 2, roomId, senderId: 5, senderName: 'user 5', createdAt: new Date() };
    const viewer = { userId: viewerId, name: undefined, issuedAt: new Date(), expiresAt: new Date() };
    const contextValue = { deps: createDeps(), isBehind: () => false, turnTaker: viewerId, viewer };
    const isRemoved = afterRoomIsRead(endMembership);

    const { data, errors } = await execute({
      schema,
      document: parse(document()),
      rootValue: { kind: 'added', message },
      contextValue,
    });

    expect(isRemoved()).toBe(true);
    expect(errors).toBeUndefined();
    expect(JSON.parse(JSON.stringify(data))).toEqual(expected);
  });

  it.each([
    ['in a request of another backend', 'chat.rooms.get', () => ({ roomId, userId: viewerId })],
    ['in a list for another backend', 'chat.rooms.list', () => ({ userId: viewerId })],
  ])('%s', async (_what, subject, payload) => {
    const service = roomServices.find((each) => each.subject === subject);
    const endpoint = service?.createEndpoint(createDeps(), pino({ level: 'silent' }));
    const isRemoved = afterRoomIsRead(endMembership);

    const answer = await endpoint?.answer(payload());

    expect(isRemoved()).toBe(true);
    expect(answer).toMatchObject({ success: true });
    const { data } = answer as unknown as { data: object | readonly object[] };
    expect([data].flat()).toMatchObject([
      {
        seq: 2,
        title: 'user 5, user 6',
        unreadCount: 1,
        memberCount: 3,
        lastMessage: { content: '안녕' },
        members: { length: 3 },
      },
    ]);
  });
});
