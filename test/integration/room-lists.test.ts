import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { appendMessage, createRoom } from '../../src/db/room-log.js';
import { cursorOfRoom, noParts, pageRooms, type Room } from '../../src/db/rooms.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const [kim, lee] = [4, 5] as const;
const types = ['DIRECT', 'GROUP', 'BOOKING'] as const;
type RoomType = (typeof types)[number];
const roomCount = 24;

/** Times with ties, and on both sides of the borders of minutes. */
const noon = Date.parse('2026-11-29T12:00:00Z');
const times = [0, 1, 30_000, 59_999, 60_000, 60_001, 119_999, 120_000, 3_600_000].map((ms) => noon + ms);

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ act: fc.constant('send' as const), room: fc.nat(roomCount - 1) }) },
  // As a send would date it, with the clock at any of the times, later or earlier than before.
  {
    weight: 6,
    arbitrary: fc.record({
      act: fc.constant('date' as const),
      room: fc.nat(roomCount - 1),
      at: fc.constantFrom(...times),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      act: fc.constant('page' as const),
      count: fc.integer({ min: 1, max: 7 }),
      // A type belongs to the whole list, and a cursor may be from before other steps.
      type: fc.option(fc.constantFrom(...types), { nil: undefined, freq: 3 }),
      isFirst: fc.boolean(),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

describe.each([
  ['as PostgreSQL plans it for few rooms', []],
  ['along the index', ['sort', 'seqscan', 'hashjoin', 'mergejoin', 'bitmapscan']],
])('a list of rooms, %s', (_how, disabled) => {
  let database: TestDatabase;
  let db: Database;
  let ids: string[];

  beforeAll(async () => {
    database = await createDatabase();
    const { pathname } = new URL(database.url);
    for (const name of disabled) await database.query(`ALTER DATABASE ${pathname.slice(1)} SET enable_${name} = off`);
    db = connectDatabase({ url: database.url });
    ids = Array.from({ length: roomCount }, () => randomUUID());
    for (const [place, id] of ids.entries()) {
      const members = { creatorId: kim, memberIds: [kim, lee] };
      const names = { name: null, directKey: null };
      await createRoom(db, { id, type: 'GROUP', ...names, ...members, messageId: randomUUID() });
      await database.query('UPDATE chat_rooms SET type = $2 WHERE id = $1', [id, types[place % types.length]]);
    }
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  it('has the exact order of activity, page by page, while rooms move and the clock is set back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        let last: Room | undefined;
        for (const next of steps) last = await take(next, last);
      }),
      { numRuns: 15 },
    );
  });

  /** Resolves with the room behind which the next page begins. */
  async function take(next: Step, last: Room | undefined): Promise<Room | undefined> {
    switch (next.act) {
      case 'send': {
        const message = { id: randomUUID(), roomId: ids[next.room] ?? '', senderId: kim, content: '안녕' };
        await appendMessage(db, { ...message, type: 'TEXT' });
        return last;
      }
      case 'date':
        await database.query('UPDATE chat_rooms SET seq = seq + 1, updated_at = $2 WHERE id = $1', [
          ids[next.room],
          new Date(next.at),
        ]);
        return last;
      case 'page': {
        const after = next.isFirst ? undefined : last;
        const cursor = after === undefined ? undefined : cursorOfRoom(after);
        const page = { count: next.count, backward: false, after: cursor, before: undefined };
        const { rows, hasNextPage } = await pageRooms(db, lee, page, next.type, noParts);
        const expected = await sortAll(next.type, after);
        expect(rows.map(({ id }) => id)).toEqual(expected.slice(0, next.count));
        expect(hasNextPage).toBe(expected.length > next.count);
        return rows.at(-1);
      }
    }
  }

  /** All rooms behind the cursor, sorted without the database. */
  async function sortAll(type: RoomType | undefined, after?: Room): Promise<string[]> {
    const rows = await database.query<{ id: string; type: string; updatedAt: Date }>(
      'SELECT id, type, updated_at AS "updatedAt" FROM chat_rooms',
    );
    const keyOf = ({ id, updatedAt }: { id: string; updatedAt: Date }) => `${updatedAt.toISOString()} ${id}`;
    return rows
      .filter((room) => type === undefined || room.type === type)
      .filter((room) => after === undefined || keyOf(room) < keyOf(after))
      .sort((a, b) => (keyOf(a) < keyOf(b) ? 1 : -1))
      .map(({ id }) => id);
  }
});
