import { type FieldNode, type GraphQLFieldResolver, type GraphQLResolveInfo, type GraphQLSchema, Kind } from 'graphql';
import type { Room } from '../db/rooms.js';
import type { Message } from '../domain/message.js';
import type { WrittenRoom } from '../resolvers/rooms.js';
import type { Context } from './context.js';

/** The fields of mutation payloads that are used here. */
interface Payload {
  readonly room?: Room;
  readonly message?: Message;
  readonly duplicate?: boolean;
}

/** Mutations that need no turn: they have their own rate limits, and their writes are batched with those of others. */
const light: readonly string[] = ['sendMessage', 'setTyping'];

/**
 * Makes each mutation wait for its turn in its room and among the changes of its user, and notes the room that it wrote to.
 * The payload's fields are loaded after the write, when the viewer may not be a member any more. With the note they are
 * still answered, in the state that the write left.
 */
export function addMutationTurns(schema: GraphQLSchema): GraphQLSchema {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const resolve = field.resolve as GraphQLFieldResolver<unknown, Context>;
    const isLight = light.includes(field.name);
    field.resolve = async (root, args, context: Context, info) => {
      const { turns, changeTurn } = context;
      // The previous mutation's answer is complete, so its turn ends here. A mutation that waits for its room holds no turn:
      // the one that is first in that room may itself be waiting for a turn.
      changeTurn?.end();
      const run = async () => {
        if (!isLight) await changeTurn?.begin();
        return resolve(root, args, context, info) as Promise<Payload>;
      };
      const payload = await (turns === undefined ? run() : turns.take(args['input'], run));
      note(context, payload);
      if (isLight && selectsRoom(info)) await changeTurn?.begin({ isPatient: true });
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

/** A duplicate was stored earlier: others may have changed it since, after its author had left, so it counts as of its creation. */
function asOfWrite({ seq, changedSeq, createdAt, editedAt, deletedAt }: Message, isOld: boolean): WrittenRoom {
  return isOld ? { seq, at: createdAt } : { seq: changedSeq, at: deletedAt ?? editedAt ?? createdAt };
}

const withRoom = new WeakMap<FieldNode, boolean>();

/** Whether the mutation's answer includes a room, and so may be much larger than the input. */
function selectsRoom({ fieldNodes, fragments }: GraphQLResolveInfo): boolean {
  const [first] = fieldNodes;
  if (first === undefined) return false;
  const known = withRoom.get(first);
  if (known !== undefined) return known;
  const seen = new Set<string>();
  const search = ({ selectionSet }: Pick<FieldNode, 'selectionSet'>): boolean =>
    selectionSet?.selections.some((selection) => {
      if (selection.kind !== Kind.FRAGMENT_SPREAD) {
        return (selection.kind === Kind.FIELD && selection.name.value === 'room') || search(selection);
      }
      const fragment = fragments[selection.name.value];
      if (fragment === undefined || seen.has(selection.name.value)) return false;
      seen.add(selection.name.value);
      return search(fragment);
    }) ?? false;
  const found = fieldNodes.some(search);
  withRoom.set(first, found);
  return found;
}
