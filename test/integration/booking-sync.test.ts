import { randomInt, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syncBooking } from '../../src/db/bookings.js';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { leaveRoom } from '../../src/db/room-log.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const [kim, lee, park] = [4, 5, 6];

describe('a member who left the room of a booking', () => {
  let database: TestDatabase;
  let db: Database;
  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  /** Creates the room of a new booking; Lee leaves it again. */
  async function leave(version: number | null = 1) {
    const bookingId = randomInt(1, 2 ** 31);
    const tell = async (version: number | null, ...userIds: number[]) => {
      const members = userIds.map((userId) => ({ userId, userName: null }));
      const state = { bookingId, name: null, members, version, cancelled: false, onlyMakes: version === null };
      const messageIds = [randomUUID(), randomUUID(), randomUUID(), randomUUID()] as const;
      return syncBooking(db, state, { roomId: randomUUID(), messageIds });
    };
    const { roomId } = await tell(version, kim, lee);
    await leaveRoom(db, { roomId, actorId: lee, messageId: randomUUID() }, randomUUID());
    const members = async () => {
      const rows = await database.query<{ id: number }>(
        'SELECT user_id AS id FROM chat_room_members WHERE room_id = $1 AND left_at IS NULL ORDER BY user_id',
        [roomId],
      );
      return rows.map(({ id }) => id);
    };
    return { tell, members };
  }

  it('is not added again by the same list, nor by newer ones that have them', async () => {
    const { tell, members } = await leave();

    const told = [await tell(1, kim, lee), await tell(2, kim, lee), await tell(3, kim, lee, park)];

    expect(await members()).toEqual([kim, park]);
    const notices = told.flatMap(({ entries }) => entries.map(({ message }) => message.system));
    expect(notices).toEqual([{ code: 'MEMBERS_JOINED', userIds: [park] }]);
  });

  it('is added again after a list without them', async () => {
    const { tell, members } = await leave();

    await tell(2, kim);
    expect(await members()).toEqual([kim]);
    await tell(3, kim, lee);
    expect(await members()).toEqual([kim, lee]);
  });

  it('is added again even if the list without them comes late, but by no list from before they left', async () => {
    const { tell, members } = await leave(5);

    await tell(7, kim, lee);
    await tell(4, kim);
    expect(await members()).toEqual([kim]);
    const late = await tell(6, kim);
    expect(await members()).toEqual([kim, lee]);
    expect([late.applied, late.entries[0]?.message.system]).toEqual([
      false,
      { code: 'MEMBERS_JOINED', userIds: [lee] },
    ]);
  });

  it('stays away from a room that was created without a version', async () => {
    const { tell, members } = await leave(null);

    await tell(1, kim, lee);
    expect(await members()).toEqual([kim]);
    await tell(2, kim);
    await tell(3, kim, lee);
    expect(await members()).toEqual([kim, lee]);
  });

  it('stays away a second time if they leave again', async () => {
    const { tell, members } = await leave();
    await tell(2, kim);
    const { roomId } = await tell(3, kim, lee);

    await leaveRoom(db, { roomId, actorId: lee, messageId: randomUUID() }, randomUUID());
    await tell(4, kim, lee, park);

    expect(await members()).toEqual([kim, park]);
  });
});
