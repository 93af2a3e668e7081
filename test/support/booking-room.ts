import { randomInt, randomUUID } from 'node:crypto';
import { connectDatabase } from '../../src/db/database.js';
import { createRoom } from '../../src/db/room-log.js';

/** A room as the booking system makes one, which no client may. The first member is its creator. */
export async function createBookingRoom(
  databaseUrl: string,
  memberIds: readonly [number, ...number[]],
): Promise<{ roomId: string; bookingId: number }> {
  const db = connectDatabase({ url: databaseUrl });
  try {
    const bookingId = randomInt(1, 2 ** 31);
    const { roomId } = await createRoom(db, {
      id: randomUUID(),
      type: 'BOOKING',
      name: '토요일 7시 30분 예약',
      directKey: null,
      bookingId,
      creatorId: memberIds[0],
      memberIds,
      messageId: randomUUID(),
    });
    return { roomId, bookingId };
  } finally {
    await db.close();
  }
}
