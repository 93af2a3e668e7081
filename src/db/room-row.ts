import { computed, type Field, mark, orNull, type Shape, type Shaped, text, time, uuid } from '../domain/shape.js';
import { presentEpoch } from './epochs.js';
import type { RoomType } from './generated/prisma/client.js';
import { createRowCodec, type JsonOf, type RowOf } from './row.js';

const roomType: Field<RoomType, 'roomType'> = { kind: 'roomType', isNullable: false };
const bookingId: Field<number, 'bookingId'> = { kind: 'bookingId', isNullable: false };

/** The columns of a room that clients see; the others belong to the booking system and the outbox. */
const roomShape = {
  id: uuid,
  name: orNull(text),
  imageUrl: orNull(text),
  type: roomType,
  bookingId: orNull(bookingId),
  /** The two users of a DIRECT room, the smaller number first: `4:9`. */
  directKey: orNull(text),
  seq: mark,
  /** The epoch of its log: `seq` is a position in this one. */
  epoch: computed(uuid),
  cancelledAt: orNull(time),
  createdAt: time,
  updatedAt: time,
} as const satisfies Shape;

export const roomRow = createRowCodec(roomShape, { computed: { epoch: () => presentEpoch.text } });

export type StoredRoom = Shaped<typeof roomShape>;
export type RoomRow = RowOf<typeof roomShape>;
export type RoomJson = JsonOf<typeof roomShape>;
