import { builder } from './builder.js';
import './date-time.js';
import './limits.js';
import './message.js';
import './room.js';
import './presence.js';
import './room-event.js';
import './typing.js';
import './user.js';

export const schema = builder.toSchema();
