import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Queries } from '../../src/db/connection.js';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { findPresences } from '../../src/db/presence.js';
import { findKnownUsers } from '../../src/db/users.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const [viewer, shown, hidden, elsewhere] = [4, 5, 6, 7];
const roomsOfEach = 300;

describe('the users whom a viewer may see', () => {
  let database: TestDatabase;
  let db: Database;
  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
    await database.query(`INSERT INTO chat_users (id, name) SELECT n, 'name ' || n FROM generate_series(4, 7) n`);
    await join(roomsOfEach, [viewer, true], [hidden, false]);
    await join(1, [viewer, true], [shown, true]);
    await join(roomsOfEach, [elsewhere, true]);
    await database.query('ANALYZE');
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  it('are the viewer and the users who are shown in a room of the viewer', async () => {
    const asked = [viewer, shown, hidden, elsewhere].map((userId) => ({ viewerId: viewer, userId }));

    const [known, present] = await Promise.all([findKnownUsers(db, asked), findPresences(db, asked)]);

    expect(asked.map((one) => known(one)?.name)).toEqual(['name 4', 'name 5', undefined, undefined]);
    expect(asked.map((one) => present(one)?.userId)).toEqual([viewer, shown, undefined, undefined]);
  });

  it.each([
    ['names', findKnownUsers],
    ['presences', findPresences],
  ])('have their rooms read once for their %s, however often they are requested', async (_what, find) => {
    const asked = Array.from({ length: 100 }, () => ({ viewerId: viewer, userId: elsewhere }));

    const rows = await db.reads.transaction(async (reads) => {
      const before = await countRows(reads);
      await find({ reads } as unknown as Database, asked);
      return (await countRows(reads)) - before;
    });

    expect(rows).toBeLessThan(10 * roomsOfEach);
  });

  /** The number of memberships that this connection has read. */
  async function countRows({ query }: Queries): Promise<number> {
    const [looked] = await query<{ rows: number }>`
      SELECT (seq_tup_read + idx_tup_fetch)::int AS rows FROM pg_stat_xact_user_tables
      WHERE relname = 'chat_room_members'`;
    return looked?.rows ?? 0;
  }

  /** Creates this many rooms with these users; each user is paired with whether they are shown there. */
  async function join(count: number, ...members: readonly (readonly [userId: number, isConfirmed: boolean])[]) {
    await database.query(
      `WITH made AS (
         INSERT INTO chat_rooms (id, type, seq) SELECT gen_random_uuid(), 'GROUP', 1 FROM generate_series(1, $1::int) RETURNING id
       )
       INSERT INTO chat_room_members (room_id, user_id, joined_seq, is_confirmed)
       SELECT made.id, m.user_id, 1, m.is_confirmed FROM made, unnest($2::int[], $3::boolean[]) AS m(user_id, is_confirmed)`,
      [count, members.map(([userId]) => userId), members.map(([, isConfirmed]) => isConfirmed)],
    );
  }
});
