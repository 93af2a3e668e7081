import { builder } from './builder.js';
import './date-time.js';
import './inbox-event.js';
import './limits.js';
import './message.js';
import './message-event.js';
import './node-query.js';
import './presence.js';
import './room.js';
import './room-files.js';
import './room-event.js';
import './room-member-connection.js';
import './typing.js';
import { addMutationTurns } from './mutation-turns.js';
import './upload.js';
import './user.js';

export const schema = addMutationTurns(builder.toSchema());
