import { type FieldNode, type GraphQLFieldResolver, type GraphQLResolveInfo, type GraphQLSchema, Kind } from 'graphql';
import type { Room } from '../db/rooms.js';
import type { Message } from '../domain/message.js';
import type { WrittenRoom } from '../resolvers/rooms.js';
import type { Context } from './context.js';

/** What the payloads of mutations have, as far as it matters here. */
interface Payload {
  readonly room?: Room;
  readonly message?: Message;
  readonly duplicate?: boolean;
}

/** Their rates bound them, and what they do is merged with what others do at the same time. */
const light: readonly string[] = ['sendMessage', 'setTyping'];

/**
 * Lets each mutation wait for its turn in its room and behind what else its user changes, and note the room that it wrote
 * to. The payload's fields are loaded behind the write, when the viewer may be no member any more: what was done is
 * answered as done, with what they knew when they did it.
 */
export function attendMutations(schema: GraphQLSchema): GraphQLSchema {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const resolve = field.resolve as GraphQLFieldResolver<unknown, Context>;
    const isLight = light.includes(field.name);
    field.resolve = async (root, args, context: Context, info) => {
      const { turns, changeTurn } = context;
      // The answer of the mutation before is complete. Nobody keeps a turn while it waits for its room: what is first there
      // may wait for a turn.
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

/** A message that was stored before may have been changed by others, and its author may have left before that. */
function asOfWrite({ seq, changedSeq, createdAt, editedAt, deletedAt }: Message, isOld: boolean): WrittenRoom {
  return isOld ? { seq, at: createdAt } : { seq: changedSeq, at: deletedAt ?? editedAt ?? createdAt };
}

const withRoom = new WeakMap<FieldNode, boolean>();

/** Whether a mutation may answer with much more than what was sent. */
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
