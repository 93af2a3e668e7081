import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { createLogStore } from '../../src/db/log-store.js';
import { markRead } from '../../src/db/read-marks.js';
import { appendMessage, createRoom, editMessage } from '../../src/db/room-log.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { waitFor } from '../support/wait-for.js';

const memberIds = Array.from({ length: 60 }, (_, index) => index + 1);
const otherRooms = 500;

/** A HOT update writes a new version of the row beside the old one, and nothing into the table's indexes. */
describe('a busy room', () => {
  let database: TestDatabase;
  let db: Database;
  let roomId: string;

  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
    roomId = await makeRoom(memberIds);
    // Its row stands among others, as in a table that has grown.
    for (let times = 0; times < otherRooms; times += 1) await makeRoom([1, 2]);
    await database.query('VACUUM ANALYZE');
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  it('is updated without its indexes, by sends, edits and published marks', async () => {
    const id = await send();
    const before = await readUpdates('chat_rooms');
    const store = createLogStore(db);
    for (let from = 1; from <= 500; from += 10) {
      for (let times = 0; times < 5; times += 1) await send();
      await Promise.all([send(), send(), send(), send()]);
      await editMessage(db, id, 1, `${from}`);
      await store.advancePublished([{ roomId, epoch: db.epochs.present, from, to: from + 9 }]);
      await store.settleRooms(60_000, 1_000);
    }
    const after = await readUpdates('chat_rooms');

    const [all, hot] = [after.all - before.all, after.hot - before.hot];
    expect(all).toBeGreaterThan(300);
    // Once in a minute the room goes to another place in lists.
    expect(all - hot).toBeLessThanOrEqual(5);
  });

  it("has its members' read marks without their indexes", async () => {
    const ids = [];
    for (let times = 0; times < 10; times += 1) ids.push(await send());
    for (const userId of memberIds) await markRead(db, { roomId, userId, messageId: ids[0] as string });
    const before = await readUpdates('chat_room_members');
    for (const messageId of ids.slice(1))
      for (const userId of memberIds) await markRead(db, { roomId, userId, messageId });
    const after = await readUpdates('chat_room_members');

    const [all, hot] = [after.all - before.all, after.hot - before.hot];
    expect(all).toBe(9 * memberIds.length);
    expect(hot / all).toBeGreaterThan(0.9);
  });

  async function makeRoom(users: readonly number[]): Promise<string> {
    const names = { name: null, directKey: null };
    const ids = { id: randomUUID(), messageId: randomUUID() };
    const made = await createRoom(db, { ...ids, type: 'GROUP', ...names, creatorId: 1, memberIds: users });
    return made.roomId;
  }

  async function send(): Promise<string> {
    const id = randomUUID();
    await appendMessage(db, { id, roomId, senderId: 1, type: 'TEXT', content: '안녕' });
    return id;
  }

  /** A connection that ends has reported what it did. */
  async function readUpdates(table: string): Promise<{ all: number; hot: number }> {
    await db.close();
    await waitFor(async () => (await countConnections()) === 0, { what: 'all connections to end' });
    db = connectDatabase({ url: database.url });
    const [row] = await database.query<{ all: number; hot: number }>(
      'SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = $1',
      [table],
    );
    return row ?? { all: 0, hot: 0 };
  }

  async function countConnections(): Promise<number | undefined> {
    const [row] = await database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM pg_stat_activity
       WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    );
    return row?.count;
  }
});
