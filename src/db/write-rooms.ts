import type { Database } from './database.js';
import { Prisma } from './generated/prisma/client.js';

interface NamedUser {
  readonly id: number;
  readonly name: string;
}

/** A room with its rows, by the names of the tables' columns. */
interface RoomRows {
  readonly room: { readonly id: string; readonly type: string };
  readonly members: readonly object[];
  readonly messages: readonly { readonly sender_id: number; readonly created_at: Date }[];
  readonly reads: readonly { readonly user_id: number; readonly read_at: Date }[];
}

/** The advisory lock that makes concurrent seeders wait for each other. */
const lockKey = 4_661_729_378;
const transactionTimeoutMs = 30_000;

/**
 * Writes whole rooms in one transaction. If one of the groups exists, nothing is changed; a room is skipped if its pair of
 * users or its booking has one already. Users keep the names that they have.
 * @returns whether something was written
 */
export const writeRooms = <Room extends RoomRows>(
  { writes }: Database,
  users: readonly NamedUser[],
  rooms: readonly Room[],
  storeFiles: StoreFiles<Room>,
): Promise<boolean> =>
  writes.prisma.$transaction((tx) => write(tx, users, rooms, storeFiles), { timeout: transactionTimeoutMs });

/** Stores the files of a room, once it is known that the room is written. Resolves with their rows. */
type StoreFiles<Room> = (
  room: Room,
) => Promise<{ readonly files: readonly object[]; readonly filesOfMessages: readonly object[] }>;

async function write<Room extends RoomRows>(
  tx: Prisma.TransactionClient,
  users: readonly NamedUser[],
  histories: readonly Room[],
  storeFiles: StoreFiles<Room>,
): Promise<boolean> {
  // Another seeder may hold the lock longer than the usual timeouts allow; the transaction has its own timeout.
  await tx.$executeRaw`SET LOCAL lock_timeout = 0`;
  await tx.$executeRaw`SET LOCAL statement_timeout = 0`;
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(${lockKey}::bigint)`;
  const groupIds = histories.filter(({ room }) => room.type === 'GROUP').map(({ room }) => room.id);
  if ((await tx.chatRoom.count({ where: { id: { in: groupIds } } })) > 0) return false;

  // Rooms before users, as in chat_create_room: in the other order, a server that creates the same room could deadlock.
  const rooms = histories.map(({ room }) => room);
  // By name: the database computes some of the columns itself.
  const columns = Prisma.raw(Object.keys(rooms[0] ?? {}).join(', '));
  const created = await tx.$queryRaw<{ id: string }[]>`
    INSERT INTO chat_rooms (${columns}) SELECT ${columns} FROM (${rowsOf('chat_rooms', rooms)}) AS d
    ON CONFLICT DO NOTHING RETURNING id`;
  const createdIds = new Set(created.map(({ id }) => id));
  const written = histories.filter(({ room }) => createdIds.has(room.id));

  // Dated 1970, so that the name in any token replaces it.
  await tx.$executeRaw`
    INSERT INTO chat_users AS u (id, name, named_at, last_seen_at)
    SELECT id, name, to_timestamp(0), last_seen_at FROM (${rowsOf('chat_users', toUserRows(users, written))}) AS d
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at WHERE u.name IS NULL`;
  const members = written.flatMap((history) => history.members);
  await tx.$executeRaw`INSERT INTO chat_room_members ${rowsOf('chat_room_members', members)}`;
  const messages = written.flatMap((history) => history.messages);
  await tx.$executeRaw`INSERT INTO chat_messages ${rowsOf('chat_messages', messages)}`;
  for (const history of written) {
    const { files, filesOfMessages } = await storeFiles(history);
    await tx.$executeRaw`INSERT INTO chat_attachments ${rowsOf('chat_attachments', files)}`;
    await tx.$executeRaw`INSERT INTO chat_message_attachments ${rowsOf('chat_message_attachments', filesOfMessages)}`;
  }
  const reads = written.flatMap((history) => history.reads);
  await tx.$executeRaw`INSERT INTO message_reads ${rowsOf('message_reads', reads)}`;
  return true;
}

/** The rows as a query with one parameter. Their keys are the table's columns. */
const rowsOf = (table: string, rows: readonly object[]): Prisma.Sql =>
  Prisma.sql`SELECT * FROM jsonb_populate_recordset(NULL::${Prisma.raw(table)}, ${JSON.stringify(rows)}::jsonb)`;

/** By ascending id, the order of all inserts of users, against deadlocks. They were last seen at their last read or message. */
function toUserRows(users: readonly NamedUser[], histories: readonly RoomRows[]) {
  const reads = histories.flatMap((history) => history.reads.map((read) => ({ id: read.user_id, at: read.read_at })));
  const sends = histories.flatMap(({ messages }) => messages.map((m) => ({ id: m.sender_id, at: m.created_at })));
  return users
    .toSorted((a, b) => a.id - b.id)
    .map((user) => {
      const times = [...reads, ...sends].filter(({ id }) => id === user.id).map(({ at }) => new Date(at).getTime());
      return { ...user, last_seen_at: times.length === 0 ? null : new Date(Math.max(...times)) };
    });
}
