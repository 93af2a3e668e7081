import { builder } from './builder.js';
import './date-time.js';
import './inbox-event.js';
import './limits.js';
import './message.js';
import './presence.js';
import './room.js';
import './room-event.js';
import './typing.js';
import './user.js';
import { noteWrittenRooms } from './written-rooms.js';

export const schema = noteWrittenRooms(builder.toSchema());
