import { builder } from './builder.js';

export const RoomType = builder.enumType('RoomType', {
  description: 'The kind of a room. It never changes.',
  values: {
    DIRECT: { description: 'One to one; each pair of users has one such room, forever.' },
    GROUP: { description: 'Any number of members, with admins.' },
    BOOKING: { description: 'Belongs to a booking; the booking system creates it and manages its members.' },
  },
});
