import type { GraphQLFieldResolver, GraphQLSchema } from 'graphql';
import type { Room } from '../db/rooms.js';
import type { Message } from '../domain/message.js';
import type { WrittenRoom } from '../resolvers/rooms.js';
import type { Context } from './builder.js';

/** What the payloads of mutations have, as far as it matters here. */
interface Payload {
  readonly room?: Room;
  readonly message?: Message;
  readonly duplicate?: boolean;
}

/**
 * Lets each mutation wait for its turn in its room, and note the room that it wrote to. The payload's fields are loaded
 * behind the write, when the viewer may be no member any more: what was done is answered as done, with what they knew when
 * they did it.
 */
export function attendMutations(schema: GraphQLSchema): GraphQLSchema {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const resolve = field.resolve as GraphQLFieldResolver<unknown, Context>;
    field.resolve = async (root, args, context: Context, info) => {
      const run = () => resolve(root, args, context, info) as Promise<Payload>;
      const payload = await (context.turns === undefined ? run() : context.turns.take(args['input'], run));
      note(context, payload);
      return payload;
    };
  }
  return schema;
}

function note(context: Context, { room, message, duplicate }: Payload): void {
  context.writtenRooms ??= new Map();
  if (room !== undefined) context.writtenRooms.set(room.id, { seq: room.seq, at: room.updatedAt, room });
  if (message !== undefined) context.writtenRooms.set(message.roomId, asOfWrite(message, duplicate === true));
}

/** A message that was stored before may have been changed by others, and its author may have left before that. */
function asOfWrite({ seq, changedSeq, createdAt, editedAt, deletedAt }: Message, isOld: boolean): WrittenRoom {
  return isOld ? { seq, at: createdAt } : { seq: changedSeq, at: deletedAt ?? editedAt ?? createdAt };
}
