import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { createLogStore } from '../../src/db/log-store.js';
import { memberDetails } from '../../src/db/member-row.js';
import { findMemberPages } from '../../src/db/members.js';
import { messageParts, pageAround, pageMessages } from '../../src/db/messages.js';
import { findRooms } from '../../src/db/room-views.js';
import {
  countAllUnread,
  cursorOfRoom,
  findRoom,
  noParts,
  pageRooms,
  type Room,
  roomParts,
} from '../../src/db/rooms.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const rooms = 1_000;
const messagesPerRoom = 1_000;
/** Rooms without messages, which the planner takes into account. */
const roomsOfOthers = 4_000;
const membersPerRoom = 10;
const users = 50_000;
const viewerId = 1;
const pageSize = 50;

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Alias?: string;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Subplan Name'?: string;
  readonly 'Parent Relationship'?: string;
  /** In kilobytes. */
  readonly 'Sort Space Used'?: number;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly Plans?: readonly Plan[];
}

describe(`with ${rooms} rooms of ${messagesPerRoom} messages, all of them the viewer's`, () => {
  let database: TestDatabase;
  let db: Database;
  let roomId: string;

  beforeAll(async () => {
    database = await createDatabase();
    await database.query(
      `INSERT INTO chat_users (id, name) SELECT n, 'user ' || n FROM generate_series(1, ${users}) n`,
    );
    await database.query(`
      INSERT INTO chat_rooms (id, type, name, seq, published_seq, updated_at)
      SELECT gen_random_uuid(), 'GROUP', 'room ' || n, CASE WHEN n <= ${rooms} THEN ${messagesPerRoom} ELSE 0 END, 0,
        now() - random() * interval '1 day'
      FROM generate_series(1, ${rooms + roomsOfOthers}) n`);
    await database.query(`
      INSERT INTO chat_room_members (id, room_id, user_id, joined_seq, last_read_seq)
      SELECT gen_random_uuid(), r.id, CASE WHEN other = 0 AND r.seq > 0 THEN ${viewerId}
          ELSE 2 + (r.place * ${membersPerRoom} + other) % ${users - 2} END, 0, greatest(r.seq - 20, 0)
      FROM (SELECT id, seq, row_number() OVER () AS place FROM chat_rooms) r, generate_series(0, ${membersPerRoom - 1}) other`);
    await database.query(`
      INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content)
      SELECT gen_random_uuid(), r.id, n, n, 2 + n % ${users - 2}, 'somebody', 'TEXT', 'hello'
      FROM chat_rooms r, generate_series(1, ${messagesPerRoom}) n WHERE r.seq > 0`);
    await database.query('VACUUM ANALYZE');
    roomId = String((await database.query('SELECT id FROM chat_rooms WHERE seq > 0 LIMIT 1'))[0]?.id);
    db = connectDatabase({ url: database.url });
    // A new connection first sets up its session, by a statement of its own.
    await db.reads.query`SELECT 1`;
  }, 120_000);
  afterAll(async () => {
    await db?.close();
    await database?.drop();
  });

  const page = { count: pageSize, backward: false, after: undefined, before: undefined };
  const all = { parts: roomParts, memberDetails };

  it.each([
    ['a list of rooms with all that can be read along', () => pageRooms(db, viewerId, page, undefined, all)],
    ['a list of rooms of one type', () => pageRooms(db, viewerId, page, 'GROUP', noParts)],
    [
      'a page at the end of a room, with senders and read counts',
      () => pageMessages(db, roomId, viewerId, { page: { ...page, backward: true }, parts: messageParts }),
    ],
    [
      'a room with a page at its end and all that can be read along',
      () =>
        findRoom(db, roomId, viewerId, { ...all, history: { page: { ...page, backward: true }, parts: messageParts } }),
    ],
    [
      'a room with all its parts, for some of its viewers',
      () =>
        findRooms(
          db,
          [viewerId, 2, 3].map((userId) => ({ roomId, userId, selection: all })),
        ),
    ],
    ['the unread count of all rooms', () => countAllUnread(db, viewerId)],
  ])('%s is one statement that reads no table from end to end and sorts no more than a page', async (_what, read) => {
    const nodes = await explain(read);
    const scanned = nodes.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => node['Relation Name']);
    // This table has a handful of rows: one for each restore of the database.
    expect(
      scanned.filter((table) => table !== 'chat_epochs'),
      JSON.stringify(nodes),
    ).toEqual([]);
    const sorted = nodes.filter((node) => node['Node Type'].includes('Sort')).map(rowsGiven);
    expect(Math.max(0, ...sorted)).toBeLessThanOrEqual((pageSize + 1) * membersPerRoom);
  });

  it('pages of the members of several rooms, one of them of 10,000, are ranges of an index, by any plan', async () => {
    const joined = 5_000;
    const large = await addLargeRoom(2 * joined);
    const count = 25;
    const asked = [large, roomId].map((id) => ({
      roomId: id,
      userId: id === large ? users - 1 : viewerId,
      page: { ...page, count, after: id === large ? { joinedSeq: joined, userId: joined + 1 } : undefined },
    }));
    for (const cache of ['force_custom_plan', 'force_generic_plan'] as const) {
      const nodes = await explain(() => findMemberPages(db, asked), cache);
      const members = nodes.filter((node) => node['Relation Name'] === 'chat_room_members');
      expect(members.map((node) => node['Index Name'])).toContain('chat_room_members_order_idx');
      for (const node of members) expect(rowsRead(node), JSON.stringify(node)).toBeLessThanOrEqual(2 * (count + 1));
    }
    const view = await findMemberPages(db, asked);
    expect(asked.map((one) => view(one).rows.map(({ userId }) => userId))).toEqual([
      Array.from({ length: count }, (_, place) => joined + 2 + place),
      expect.arrayContaining([viewerId]),
    ]);
  });

  /** Creates a room whose members joined one after the other: user n + 1 as the nth, then the viewer of the tests. */
  async function addLargeRoom(members: number): Promise<string> {
    const id = randomUUID();
    await database.query(`INSERT INTO chat_rooms (id, type, seq) VALUES ('${id}', 'GROUP', ${members})`);
    await database.query(`
      INSERT INTO chat_room_members (room_id, user_id, joined_seq) SELECT '${id}'::uuid, n + 1, n FROM generate_series(1, ${members}) n
      UNION ALL SELECT '${id}'::uuid, ${users - 1}, ${members} + 1`);
    await database.query('VACUUM ANALYZE');
    return id;
  }

  it('members of a list beyond the limit for preloading are counted up to the limit, and none is read', async () => {
    const [rooms, most] = [pageSize + 1, 100];
    for (const cache of ['force_custom_plan', 'force_generic_plan'] as const) {
      const nodes = await explain(
        () => pageRooms(db, viewerId, page, undefined, { parts: ['members'], memberDetails, maxMembers: most }),
        cache,
      );
      const read = (alias: string) =>
        nodes.filter((node) => node.Alias === alias && node['Relation Name'] !== undefined).map(rowsRead);
      // The counted members, the members that would be shown, and their users.
      expect([read('c'), read('o'), read('u')]).toEqual([[most + 1], [0], [0]]);
    }
    const read = async (maxMembers: number) =>
      (await pageRooms(db, viewerId, page, undefined, { parts: ['members'], memberDetails, maxMembers })).rows;
    expect((await read(most)).map(({ preloaded }) => preloaded?.members)).toEqual(Array(pageSize).fill(undefined));
    expect((await read(rooms * membersPerRoom)).map(({ preloaded }) => preloaded?.members?.length)).toEqual(
      Array(pageSize).fill(membersPerRoom),
    );
  });

  const history = { page: { ...page, backward: true }, parts: messageParts };
  it('a list of rooms with members and messages sorts only the rooms', async () => {
    for (const cache of ['force_custom_plan', 'force_generic_plan'] as const) {
      const nodes = await explain(() => pageRooms(db, viewerId, page, undefined, { ...all, history }), cache);
      const sorts = nodes.filter((node) => node['Sort Space Used'] !== undefined);
      expect(sorts.length).toBeGreaterThan(0);
      for (const sort of sorts) expect(sort['Sort Space Used'], JSON.stringify(sort)).toBeLessThan(400);
    }
  });

  it.each([
    ['a page at the end of a room', () => pageMessages(db, roomId, viewerId, history)],
    ['a page at its start', () => pageMessages(db, roomId, viewerId, { ...history, page })],
    ['a room with a page', () => findRoom(db, roomId, viewerId, { ...noParts, history })],
  ])('%s reads no more messages than it shows, and the marks of the members once, by any plan', async (_what, read) => {
    for (const cache of ['force_custom_plan', 'force_generic_plan'] as const) {
      const nodes = await explain(read, cache);
      const rows = (node: Plan) => node['Actual Rows'] * node['Actual Loops'];
      const messages = nodes.filter((node) => node['Relation Name'] === 'chat_messages');
      expect(messages.map(rows), cache).toEqual([pageSize + 1]);
      const aggregated = nodes.filter((node) => node['Subplan Name'] === 'CTE marks');
      expect(aggregated.map((node) => node['Actual Loops'])).toEqual([1]);
    }
  });

  it('a page around a message reads the message and one more than it shows in each direction, by any plan', async () => {
    const [middle] = await database.query('SELECT id FROM chat_messages WHERE room_id = $1 AND seq = 40', [roomId]);
    const around = { messageId: String(middle?.id), older: 10, newer: 9, parts: messageParts };
    for (const cache of ['force_custom_plan', 'force_generic_plan'] as const) {
      const nodes = await explain(() => pageAround(db, roomId, viewerId, around), cache);
      const messages = nodes.filter((node) => node['Relation Name'] === 'chat_messages').map(rowsRead);
      expect(
        messages.sort((a, b) => a - b),
        cache,
      ).toEqual([1, 11, 11]);
    }
  });

  it('looks for unpublished entries only behind the marks, by any plan', async () => {
    const [store, behind] = [createLogStore(db), 3];
    await database.query('UPDATE chat_rooms SET published_seq = greatest(seq - $1, 0) WHERE seq > 0', [behind]);
    // Each room has 50 messages that were changed and published, and one that was changed since.
    await database.query(
      `UPDATE chat_messages SET change = 'EDITED', changed_at = now(),
         changed_seq = CASE WHEN seq <= 50 THEN seq + $1 ELSE $2 END WHERE seq <= 51`,
      [messagesPerRoom - 100, messagesPerRoom],
    );
    await database.query('ANALYZE chat_rooms, chat_messages');
    const rooms = await countRooms();
    // The connection for upkeep sets up its session as well.
    await store.readBacklog();
    for (const cache of ['force_custom_plan', 'force_generic_plan'] as const) {
      // Nothing is old enough, so nothing is left out.
      for (const read of [() => store.readUnpublished(86_400_000, 100), () => store.readBacklog()]) {
        const nodes = await explain(read, cache);
        const messages = nodes.filter((node) => node['Relation Name'] === 'chat_messages');
        expect(messages.length).toBeGreaterThan(0);
        expect(messages.map((node) => node['Node Type'])).not.toContain('Seq Scan');
        expect(messages.map((node) => node['Index Name'])).toContain('chat_messages_changed_idx');
        for (const node of messages) expect(rowsRead(node), JSON.stringify(node)).toBeLessThanOrEqual(behind * rooms);
      }
    }
    expect(await store.readUnpublished(86_400_000, 100)).toEqual([]);
    expect(await store.readUnpublished(0, 100)).toHaveLength(100);
  });

  it('looks for new read marks only among the members of the rooms, by any plan', async () => {
    const store = createLogStore(db);
    const rows = await database.query('SELECT id FROM chat_rooms LIMIT 200');
    const roomIds = rows.map(({ id }) => String(id));
    await store.readBacklog();
    for (const cache of ['force_custom_plan', 'force_generic_plan'] as const) {
      const nodes = await explain(() => store.readMarks({ roomIds, ageMs: 60_000, count: 10_000 }), cache);
      const members = nodes.filter((node) => node['Relation Name'] === 'chat_room_members');
      expect(members.map((node) => node['Node Type'])).not.toContain('Seq Scan');
      expect(members).toHaveLength(1);
      for (const node of members) {
        expect(rowsRead(node), JSON.stringify(node)).toBeLessThanOrEqual(roomIds.length * membersPerRoom);
      }
    }
  });

  const countRooms = async () =>
    Number((await database.query('SELECT count(*) AS rooms FROM chat_rooms WHERE seq > 0'))[0]?.rooms);

  const explain = (read: () => Promise<unknown>, cache?: string) => explainOn(database.url, read, cache);
});

describe('with 100,000 rooms, six of them in each minute', () => {
  let database: TestDatabase;
  let db: Database;
  const [everywhere, often, seldom] = [1, 2, 3];

  beforeAll(async () => {
    database = await createDatabase();
    await database.query("INSERT INTO chat_users (id, name) SELECT n, 'user ' || n FROM generate_series(1, 3) n");
    await database.query(`
      INSERT INTO chat_rooms (id, type, name, updated_at)
      SELECT gen_random_uuid(), 'GROUP', 'room ' || n, now() - n * interval '10 s' FROM generate_series(1, 100000) n`);
    await database.query(`
      INSERT INTO chat_room_members (room_id, user_id, joined_seq)
      SELECT r.id, u.id, 0 FROM (SELECT id, row_number() OVER (ORDER BY updated_at) AS place FROM chat_rooms) r
      JOIN (VALUES (${everywhere}, 1), (${often}, 20), (${seldom}, 5000)) AS u(id, step) ON r.place % u.step = 0`);
    // ANALYZE reads all rows, not a sample: from one it takes the 20 rooms for 4 to 35, and each estimate has its own plan.
    await database.query('ALTER TABLE chat_room_members ALTER COLUMN user_id SET STATISTICS 1000');
    await database.query('ALTER TABLE chat_rooms ALTER COLUMN listed_at SET STATISTICS 1000');
    await database.query('VACUUM ANALYZE');
    db = connectDatabase({ url: database.url });
    await db.reads.query`SELECT 1`;
  }, 120_000);
  afterAll(async () => {
    await db?.close();
    await database?.drop();
  });

  /** The rows that are read of each table for the first page, and for the one behind it. */
  async function readList(userId: number) {
    const page = { count: 20, backward: false, after: undefined, before: undefined };
    const last = (await pageRooms(db, userId, page, undefined, noParts)).rows.at(-1) as Room;
    const read = [];
    for (const after of [undefined, cursorOfRoom(last)]) {
      const nodes = await explainOn(database.url, () => pageRooms(db, userId, { ...page, after }, undefined, noParts));
      const rowsOf = (table: string) =>
        nodes.filter((node) => node['Relation Name'] === table).reduce((sum, node) => sum + rowsRead(node), 0);
      const indexes = nodes.map((node) => node['Index Name']);
      read.push({ rooms: rowsOf('chat_rooms'), members: rowsOf('chat_room_members'), indexes });
    }
    return read;
  }

  it('the list of a user with 20 rooms reads these rooms', async () => {
    for (const { rooms, members } of await readList(seldom)) expect([rooms, members]).toEqual([20, 20]);
  });

  it('the list of a user with 5,000 rooms reads no more than these rooms', async () => {
    for (const { rooms, members } of await readList(often)) {
      expect(rooms).toBeLessThanOrEqual(5_000);
      expect(members).toBeLessThanOrEqual(5_000);
    }
  });

  it('the list of a user with all rooms reads a page and the rest of its last minute', async () => {
    for (const { rooms, members, indexes } of await readList(everywhere)) {
      expect(indexes).toContain('chat_rooms_listed_at_idx');
      // The limit of 21 is rounded up to 64; a minute in the middle has six rooms, and so may the next one.
      expect(rooms).toBeLessThanOrEqual(64 + 2 * 6);
      expect(members).toBeLessThanOrEqual(64 + 2 * 6);
    }
  });
});

describe('with thousands of rooms for everybody', () => {
  it('a list keeps its plan: planning takes as long as reading the list', async () => {
    const database = await createDatabase();
    const db = connectDatabase({ url: database.url, readPoolSize: 1 });
    onTestFinished(async () => {
      await db.close();
      await database.drop();
    });
    await database.query("INSERT INTO chat_users (id, name) SELECT n, 'user ' || n FROM generate_series(1, 5) n");
    await database.query(`
      INSERT INTO chat_rooms (id, type, name, updated_at)
      SELECT gen_random_uuid(), 'GROUP', 'room ' || n, now() - random() * interval '1 day' FROM generate_series(1, 5000) n`);
    await database.query(`
      INSERT INTO chat_room_members (room_id, user_id, joined_seq)
      SELECT r.id, u.id, 0 FROM chat_rooms r, chat_users u`);
    await database.query('VACUUM ANALYZE');

    const page = { count: 20, backward: false, after: undefined, before: undefined };
    for (let times = 0; times < 20; times += 1)
      await pageRooms(db, viewerId, page, undefined, { parts: ['unreadCount', 'members'], memberDetails: [] });

    const [statement] = await db.reads.query<{ kept: number; anew: number }>`
      SELECT generic_plans::int AS kept, custom_plans::int AS anew FROM pg_prepared_statements
      WHERE statement LIKE '%MATERIALIZED%' AND statement NOT LIKE '%pg_prepared_statements%'`;
    // PostgreSQL always plans the first five executions anew, to compare.
    expect(statement).toEqual({ kept: 15, anew: 5 });
  });
});

describe('sends that began with an empty table', () => {
  it('find messages by their key, however large the table has become', async () => {
    const database = await createDatabase();
    const connection = new pg.Client({ connectionString: database.url });
    await connection.connect();
    onTestFinished(async () => {
      await connection.end();
      await database.drop();
    });
    const [roomId, userId] = [randomUUID(), 1];
    await connection.query('ALTER TABLE chat_messages SET (autovacuum_enabled = off)');
    await connection.query(`INSERT INTO chat_users (id, name) VALUES (${userId}, 'kim')`);
    await connection.query(`INSERT INTO chat_rooms (id, type, seq) VALUES ('${roomId}', 'GROUP', 0)`);
    await connection.query(
      `INSERT INTO chat_room_members (room_id, user_id, joined_seq) VALUES ('${roomId}', ${userId}, 0)`,
    );
    const sendTwo = () =>
      connection.query("SELECT * FROM chat_send_messages($1, $2, $3, '{TEXT,TEXT}', '{one,two}', true)", [
        [randomUUID(), randomUUID()],
        [roomId, roomId],
        [userId, userId],
      ]);
    const countRead = async () => {
      await connection.query('SELECT pg_stat_force_next_flush()');
      const { rows } = await connection.query<{ read: string }>(
        "SELECT seq_tup_read AS read FROM pg_stat_user_tables WHERE relname = 'chat_messages'",
      );
      return Number(rows[0]?.read);
    };

    // Repeats until PostgreSQL keeps a plan.
    for (let times = 0; times < 20; times += 1) await sendTwo();
    await connection.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content)
       SELECT gen_random_uuid(), $1, n, n, $2, 'kim', 'TEXT', 'old' FROM generate_series(1001, 11000) n`,
      [roomId, userId],
    );
    await connection.query('UPDATE chat_rooms SET seq = 11000');
    const before = await countRead();
    for (let times = 0; times < 20; times += 1) await sendTwo();
    expect((await countRead()) - before).toBe(0);
  });
});

/** The plan of the one statement that `read` sends, made for its values or for any values. */
async function explainOn(url: string, read: () => Promise<unknown>, cache = 'force_custom_plan'): Promise<Plan[]> {
  const statements = await statementsOf(read);
  expect(statements).toHaveLength(1);
  const [{ text, values }] = statements as [(typeof statements)[number]];
  const connection = new pg.Client({ connectionString: url });
  await connection.connect();
  try {
    await connection.query(`SET plan_cache_mode = ${cache}`);
    await connection.query(`PREPARE asked AS ${text}`);
    const { rows } = await connection.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked(${values.map(toLiteral).join(', ')})`,
    );
    return flatten(rows[0]?.['QUERY PLAN'][0].Plan as Plan);
  } finally {
    await connection.end();
  }
}

/** The statements that `read` sends to the database. */
async function statementsOf(read: () => Promise<unknown>) {
  const spy = vi.spyOn(pg.Client.prototype, 'query');
  try {
    await read();
    return spy.mock.calls.map(([config]) => config as unknown as { text: string; values: unknown[] });
  } finally {
    spy.mockRestore();
  }
}

const toLiteral = (value: unknown): string => `'${Array.isArray(value) ? `{${value.join(',')}}` : String(value)}'`;

const rowsRead = (node: Plan): number =>
  (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];

/** The rows that the node got from the one below it. */
const rowsGiven = ({ Plans = [] }: Plan): number =>
  Plans.filter((node) => node['Parent Relationship'] === 'Outer').reduce(
    (sum, node) => sum + node['Actual Rows'] * node['Actual Loops'],
    0,
  );

const flatten = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flatten)];
