import { orNull, type Shape, type Shaped, text, userId } from '../domain/shape.js';
import { createRowCodec } from './row.js';

const userShape = { id: userId, name: orNull(text) } as const satisfies Shape;

/** A user's identity. Presence is read separately. */
export interface User extends Shaped<typeof userShape> {}

export const userRow = createRowCodec(userShape);
