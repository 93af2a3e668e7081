import { readFile } from 'node:fs/promises';
import { connectDatabase } from '../db/database.js';
import { Prisma } from '../db/generated/prisma/client.js';
import { defaultLanguage, type Language } from '../domain/notice.js';
import { createHistories, type Demo, type DemoUser, type History } from './demo-history.js';

/** The relative path is the same from src/dev and from dist/dev. */
const demoFile = new URL('../../prisma/demo.json', import.meta.url);
/** The advisory lock that makes concurrent seeders wait for each other. */
const lockKey = 4_661_729_378;
const transactionTimeoutMs = 30_000;

/**
 * Writes the demo, four people and their rooms of the last days, into a migrated database. Several processes may call it at
 * the same time, and again later: if the demo's group exists, nothing is changed. A room is skipped if its pair of users
 * or its booking has one already.
 * @returns whether something was written
 */
export async function seedDemo(
  databaseUrl: string,
  { now = new Date(), language = defaultLanguage }: { readonly now?: Date; readonly language?: Language } = {},
): Promise<boolean> {
  const demo = JSON.parse(await readFile(demoFile, 'utf8')) as Demo;
  const histories = createHistories(demo, now, language);
  const db = connectDatabase({ url: databaseUrl });
  try {
    return await db.writes.prisma.$transaction((tx) => writeDemo(tx, demo.users, histories), {
      timeout: transactionTimeoutMs,
    });
  } finally {
    await db.close();
  }
}

async function writeDemo(
  tx: Prisma.TransactionClient,
  users: readonly DemoUser[],
  histories: readonly History[],
): Promise<boolean> {
  // Another seeder may hold the lock longer than the usual timeouts allow; the transaction has its own timeout.
  await tx.$executeRaw`SET LOCAL lock_timeout = 0`;
  await tx.$executeRaw`SET LOCAL statement_timeout = 0`;
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(${lockKey}::bigint)`;
  const groupIds = histories.filter(({ room }) => room.type === 'GROUP').map(({ room }) => room.id);
  if ((await tx.chatRoom.count({ where: { id: { in: groupIds } } })) > 0) return false;

  // Rooms before users, as in chat_create_room: in the other order, a server that creates the same room could deadlock.
  const rooms = histories.map(({ room }) => room);
  const created = await tx.$queryRaw<{ id: string }[]>`
    INSERT INTO chat_rooms ${rowsOf('chat_rooms', rooms)} ON CONFLICT DO NOTHING RETURNING id`;
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
  const reads = written.flatMap((history) => history.reads);
  await tx.$executeRaw`INSERT INTO message_reads ${rowsOf('message_reads', reads)}`;
  return true;
}

/** The rows as a query with one parameter. Their keys are the table's columns. */
const rowsOf = (table: string, rows: readonly object[]): Prisma.Sql =>
  Prisma.sql`SELECT * FROM jsonb_populate_recordset(NULL::${Prisma.raw(table)}, ${JSON.stringify(rows)}::jsonb)`;

/** By ascending id, the order of all inserts of users, against deadlocks. They were last seen at their last read or message. */
function toUserRows(users: readonly DemoUser[], histories: readonly History[]) {
  const reads = histories.flatMap((history) => history.reads.map((read) => ({ id: read.user_id, at: read.read_at })));
  const sends = histories.flatMap(({ messages }) => messages.map((m) => ({ id: m.sender_id, at: m.created_at })));
  return users
    .toSorted((a, b) => a.id - b.id)
    .map((user) => {
      const times = [...reads, ...sends].filter(({ id }) => id === user.id).map(({ at }) => new Date(at).getTime());
      return { ...user, last_seen_at: times.length === 0 ? null : new Date(Math.max(...times)) };
    });
}
