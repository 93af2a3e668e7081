import { builder } from './builder.js';

export const RoomType = builder.enumType('RoomType', {
  description: 'What kind of room it is; it never changes.',
  values: {
    DIRECT: { description: 'One to one; there is one room per pair of users, for ever.' },
    GROUP: { description: 'Any number of members, with admins.' },
    BOOKING: { description: 'Belongs to a booking; the booking system creates it and keeps its members.' },
  },
});
