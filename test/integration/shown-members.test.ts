import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { findMemberPages } from '../../src/db/members.js';
import { createRoom } from '../../src/db/room-log.js';
import { findEverMembers, findRooms } from '../../src/db/room-views.js';
import { saveUser } from '../../src/db/users.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const [maker, one, other] = [4, 5, 6] as const;
const page = { count: 10, backward: false, after: undefined, before: undefined };

describe('members whom the creator of a room does not know', () => {
  let database: TestDatabase;
  let db: Database;
  let roomId: string;
  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
    for (const id of [maker, one, other]) await saveUser(db, { id, name: `name ${id}`, namedAt: new Date() });
    const created = await createRoom(db, {
      id: randomUUID(),
      type: 'GROUP',
      name: null,
      directKey: null,
      creatorId: maker,
      memberIds: [maker, one, other],
      messageId: randomUUID(),
      isVouched: false,
    });
    roomId = created.roomId;
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  it.each([
    [
      'members',
      async (_db: Database, asked: readonly { roomId: string; userId: number | null }[]) => {
        const selection = { parts: ['members'] as const, memberDetails: [] };
        const roomOf = await findRooms(
          db,
          asked.map((each) => ({ ...each, selection })),
        );
        return (each: { roomId: string; userId: number | null }) => roomOf({ ...each, selection })?.preloaded?.members;
      },
    ],
    ['members of all times', findEverMembers],
    [
      'pages of members',
      async (_db: Database, asked: readonly { roomId: string; userId: number | null }[]) => {
        const pageOf = await findMemberPages(
          db,
          asked.map((each) => ({ ...each, page })),
        );
        return (each: { roomId: string; userId: number | null }) => pageOf({ ...each, page }).rows;
      },
    ],
  ])('are shown by name only to themselves, even if several viewers read at once: %s', async (_what, find) => {
    const asked = [maker, one, other, null].map((userId) => ({ roomId, userId }));

    const view = await find(db, asked);

    const seen = asked.map((each) => view(each)?.map(({ user }) => user?.name));
    expect(seen).toEqual([
      ['name 4', null, null],
      ['name 4', 'name 5', null],
      ['name 4', null, 'name 6'],
      ['name 4', null, null],
    ]);
    expect(view({ roomId, userId: 99 }) ?? []).toEqual([]);
  });
});
