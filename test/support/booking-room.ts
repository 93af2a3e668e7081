import { randomInt, randomUUID } from 'node:crypto';
import { syncBooking } from '../../src/db/bookings.js';
import { connectDatabase } from '../../src/db/database.js';

/** Creates a booking's room as the booking system does. The first member is the author of its first entry. */
export async function createBookingRoom(
  databaseUrl: string,
  memberIds: readonly [number, ...number[]],
): Promise<{ roomId: string; bookingId: number }> {
  const db = connectDatabase({ url: databaseUrl });
  try {
    const bookingId = randomInt(1, 2 ** 31);
    const members = memberIds.map((userId) => ({ userId, userName: null }));
    const booking = { bookingId, name: '토요일 7시 30분 예약', members, version: 1, cancelled: false };
    const { roomId } = await syncBooking(db, booking, {
      roomId: randomUUID(),
      messageIds: [randomUUID(), randomUUID(), randomUUID(), randomUUID()],
    });
    return { roomId, bookingId };
  } finally {
    await db.close();
  }
}
