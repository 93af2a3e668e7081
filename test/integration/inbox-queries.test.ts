import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type App, startApp } from '../../src/app.js';
import { type CompleteConfig, readConfig } from '../../src/config.js';
import { schema } from '../../src/schema/index.js';
import { TrustedDocuments } from '../../src/server/graphql/documents/trusted-documents.js';
import { TestClient } from '../support/client.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { testSecret } from '../support/instance.js';
import { startNats, type TestNats } from '../support/nats.js';
import { inboxBadges, inboxEvents, removeMember } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { afterRoomIsRead } from '../support/statements.js';
import { waitFor } from '../support/wait-for.js';
import { nameEverybody } from '../support/world.js';

const senderId = 4;

describeWithNats('an inbox', () => {
  let database: TestDatabase;
  let nats: TestNats;
  let app: App;
  const clients: TestClient[] = [];

  beforeAll(async () => {
    [database, nats] = await Promise.all([createDatabase(), startNats()]);
    const config = readConfig({
      DATABASE_URL: database.url,
      NATS_URL: nats.url,
      NATS_USER: nats.user,
      NATS_PASSWORD: nats.password,
      AUTH_JWT_SECRET: testSecret,
      HOST: '127.0.0.1',
      PORT: '0',
      MAX_ROOM_MEMBERS: '501',
      NEW_USERS_PER_DAY: '10000',
    }) as CompleteConfig;
    // The app runs in this process, so that its statements can be counted.
    const { limits, introspection } = config;
    const documents = new TrustedDocuments({ ...limits, introspection, schema, own: [], manifests: [], only: false });
    app = await startApp(config, documents, pino({ level: 'silent' }));
  });
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await app.stop();
    await nats.stop();
    await database.drop();
  });

  async function connect(userId: number): Promise<TestClient> {
    const client = await TestClient.create({ url: `http://127.0.0.1:${app.port}` }, userId);
    clients.push(client);
    return client;
  }

  /** Periodic statements, which run whether anything is sent or not. */
  const byTheClock =
    /chat_advance_published|published_seq < r\.seq|chat_hold_lease|chat_expire_|chat_connect|r\.id = ANY|AS k\(id, seq\)|since\.time|u\.online_since/;

  /** Waits until later subscribers do not receive the room's creation any more. */
  const untilPublished = (roomId: string) =>
    waitFor(
      async () => {
        const [room] = await database.query<{ isDone: boolean }>(
          'SELECT published_seq = seq AS "isDone" FROM chat_rooms WHERE id = $1',
          [roomId],
        );
        return room?.isDone;
      },
      { what: 'the publication of the room' },
    );

  /** Sends a message to a room whose other members all watch their inbox; returns the statements that it took. */
  async function sendTo(memberIds: readonly number[]) {
    const sender = await connect(senderId);
    const roomId = await sender.group(...memberIds);
    await untilPublished(roomId);
    await nameEverybody({ database });
    const members = await Promise.all(memberIds.map((userId) => connect(userId)));
    const feeds = members.map((member) => member.subscribe(inboxBadges, {}));
    await waitFor(() => feeds.every(({ events }) => events.length > 0), { what: 'READY for all', timeoutMs: 30_000 });

    const query = vi.spyOn(pg.Client.prototype, 'query');
    const { message } = await sender.send(roomId, '모두에게');
    await waitFor(() => feeds.every(({ events }) => events.length > 1), { what: 'the event', timeoutMs: 30_000 });
    // A new connection first sets up its session.
    const statements = query.mock.calls
      .map(([statement]) => (statement as unknown as { text: string }).text)
      .filter((text) => !text.includes('set_config'));
    query.mockRestore();

    for (const { events } of feeds) {
      expect(events[1]?.inboxEvents.room).toMatchObject({
        id: roomId,
        unreadCount: 1,
        memberCount: memberIds.length + 1,
        lastMessage: { id: message.id, content: '모두에게' },
      });
    }
    return statements.filter((text) => !byTheClock.test(text));
  }

  const countFrom = (first: number, count: number): number[] =>
    Array.from({ length: count }, (_, index) => first + index);

  it('takes as many statements to notify 500 members of a message as to notify 10', async () => {
    const ten = await sendTo(countFrom(1_000, 10));
    const fiveHundred = await sendTo(countFrom(2_000, 500));

    expect(fiveHundred.length).toBe(ten.length);
    expect(ten.length).toBeLessThanOrEqual(4);
    // One of them reads the room for all of them, with every part.
    expect(fiveHundred.filter((text) => text.includes('JOIN chat_rooms r ON r.id = me.room_id'))).toHaveLength(1);
  }, 60_000);

  it('shows a room as of one moment, if the viewer is removed while the event is loaded', async () => {
    const [admin, member] = [await connect(senderId), await connect(3_000)];
    const roomId = await admin.group(3_000, 3_001);
    await untilPublished(roomId);
    await nameEverybody({ database });
    const feed = member.subscribe(inboxEvents, {});
    await feed.count(1);
    const isRemoved = afterRoomIsRead(
      () => admin.http(removeMember, { input: { roomId, userId: '3000' } }),
      (text) => text.includes('AS a(room_id, user_id'),
    );

    await admin.send(roomId, '마지막');
    const [, changed, removed] = await feed.count(3);
    vi.restoreAllMocks();

    expect(isRemoved()).toBe(true);
    expect(changed?.inboxEvents).toMatchObject({
      kind: 'ROOM_CHANGED',
      roomId,
      room: {
        title: '김철수, #3001',
        seq: 2,
        unreadCount: 1,
        memberCount: 3,
        lastMessage: { content: '마지막' },
        members: [4, 3_000, 3_001].map((id) => ({ user: { id: String(id) } })),
      },
    });
    expect(removed?.inboxEvents).toEqual({ kind: 'ROOM_REMOVED', roomId, room: null });
  });
});
