import { boolean, computed, orNull, type Shape, type Shaped, text, userId } from '../domain/shape.js';
import { createRowCodec } from './row.js';

const userShape = {
  id: userId,
  /** Null until the platform gives a name, and for viewers who may not see it. */
  name: orNull(text),
  avatarUrl: orNull(text),
  isDeleted: computed(boolean),
} as const satisfies Shape;

/** A user as the platform describes them. Presence is read separately. */
export interface UserProfile extends Shaped<typeof userShape> {}

/** A user's identity, with the rest of the profile if it was read. */
export type User = Pick<UserProfile, 'id' | 'name'> & Partial<UserProfile>;

export const userRow = createRowCodec(userShape, { computed: { isDeleted: (u) => `(${u}.deleted_at IS NOT NULL)` } });
