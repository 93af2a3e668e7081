import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { TestClient } from '../support/client.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { InboxFollower, type InboxRoom } from '../support/inbox.js';
import { startNats, type TestNats } from '../support/nats.js';
import {
  deleteMessage,
  editMessage,
  inboxBadges,
  inboxEvents,
  moveMark,
  removeMember,
  renameRoom,
} from '../support/operations.js';
import { startOwnApp } from '../support/own-app.js';
import { describeWithNats } from '../support/requirements.js';
import { afterRoomIsRead } from '../support/statements.js';
import { waitFor } from '../support/wait-for.js';
import { nameEverybody } from '../support/world.js';

const senderId = 4;

type OwnApp = Awaited<ReturnType<typeof startOwnApp>>;

describeWithNats('an inbox', () => {
  let database: TestDatabase;
  let nats: TestNats;
  let app: OwnApp;
  /** Another instance on the same database and NATS. */
  let otherApp: OwnApp;
  const clients: TestClient[] = [];

  beforeAll(async () => {
    [database, nats] = await Promise.all([createDatabase(), startNats()]);
    const env = {
      MAX_ROOM_MEMBERS: '501',
      NEW_USERS_PER_DAY: '10000',
      CHANGES_PER_MINUTE: '10000',
      SUBSCRIPTIONS_PER_MINUTE: '10000',
    };
    app = await startOwnApp({ database, nats }, env);
    otherApp = await startOwnApp({ database, nats }, env);
  });
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all([app.stop(), otherApp.stop()]);
    await nats.stop();
    await database.drop();
  });

  async function connect(userId: number, instance = app): Promise<TestClient> {
    const client = await TestClient.create(instance, userId);
    clients.push(client);
    return client;
  }

  /** Periodic statements, which run whether anything is sent or not. */
  const byTheClock =
    /chat_advance_published|is_settled|chat_hold_lease|chat_expire_|chat_connect|chat_disconnect|r\.id = ANY|AS k\(id, seq\)|since\.time|u\.online_since/;

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
    const feeds = await fewAtOnce(members, async (member) => {
      const feed = member.subscribe(inboxBadges, {});
      await feed.count(1);
      return feed;
    });

    const statements = countStatements();
    const { message } = await sender.send(roomId, '모두에게');
    await waitFor(() => feeds.every(({ events }) => events.length > 1), { what: 'the event' });
    const counted = statements();

    for (const { events } of feeds) {
      expect(events[1]?.inboxEvents.room).toMatchObject({
        id: roomId,
        unreadCount: 1,
        memberCount: memberIds.length + 1,
        lastMessage: { id: message.id, content: '모두에게' },
      });
    }
    return counted;
  }

  /** Does the work for each member. A busy machine would refuse five hundred new sockets at once. */
  async function fewAtOnce<T>(members: readonly TestClient[], work: (member: TestClient) => Promise<T>): Promise<T[]> {
    const results: T[] = [];
    while (results.length < members.length) {
      const next = members.slice(results.length, results.length + 50);
      results.push(...(await Promise.all(next.map(work))));
    }
    return results;
  }

  /** A name that is not kept yet is read; name-queries.test.ts counts these. */
  const ofNames = /FROM chat_users u WHERE u\.id = ANY/;

  /** Counts from now on. The returned function ends it, and returns the statements beside those by the clock and of names. */
  function countStatements(): () => string[] {
    const query = vi.spyOn(pg.Client.prototype, 'query');
    return () => {
      const texts = query.mock.calls.map(([statement]) => (statement as unknown as { text: string }).text);
      query.mockRestore();
      // A new connection first sets up its session.
      return texts.filter((text) => ![/set_config/, byTheClock, ofNames].some((pattern) => pattern.test(text)));
    };
  }

  /** The statements of the changes themselves. */
  const ofChanges =
    /chat_(send_message|edit_message|delete_message|move_mark|mark_reads)|FROM chat_messages c WHERE c.id = ANY/;

  interface Day {
    readonly firstId: number;
    readonly watchers: number;
    readonly rooms: number;
    readonly moments: number;
  }

  /** Changes rooms whose members all watch their lists, one at each moment; returns the statements that lists took. */
  async function spendDay({ firstId, watchers, rooms, moments }: Day): Promise<string[]> {
    const memberIds = countFrom(firstId, watchers);
    const writers = [await connect(senderId), await connect(senderId, otherApp)];
    const [writer] = writers as [TestClient, TestClient];
    const roomIds: string[] = [];
    for (let count = 0; count < rooms; count += 1) roomIds.push(await writer.group(...memberIds));
    // The title of every other room is its name.
    for (const [place, roomId] of roomIds.entries()) {
      if (place % 2 === 1) await writer.http(renameRoom, { input: { roomId, name: `방 ${place}` } });
    }
    await Promise.all(roomIds.map(untilPublished));
    await nameEverybody({ database });
    // Rooms that hide a name are always read.
    await database.query('UPDATE chat_room_members SET is_confirmed = true');
    const members = await Promise.all(
      memberIds.map((userId, place) => connect(userId, place % 2 === 0 ? app : otherApp)),
    );
    const inboxes = await fewAtOnce(members, (member) => InboxFollower.start(member));
    const untilAll = (roomId: string, looks: (room: InboxRoom) => boolean) =>
      Promise.all(inboxes.map((inbox) => inbox.room(roomId, looks, 'the change')));
    // The first change of each room is read, and the first request of each writer stores their name.
    for (const [place, roomId] of [...roomIds, ...roomIds].entries()) {
      const { message } = await (writers[place % 2] as TestClient).send(roomId, '처음');
      await untilAll(roomId, ({ seq }) => seq === message.seq);
    }

    const statements = countStatements();
    for (let moment = 0; moment < moments; moment += 1) {
      const roomId = roomIds[moment % rooms] as string;
      const from = writers[moment % 2] as TestClient;
      const { message } = await from.send(roomId, `${moment}`);
      await untilAll(roomId, ({ lastMessage }) => lastMessage?.id === message.id);
      await from.http(editMessage, { input: { messageId: message.id, content: '고침' } });
      await untilAll(roomId, ({ lastMessage }) => lastMessage?.content === '고침');
      const { message: next } = await from.send(roomId, '다음');
      await from.http(deleteMessage, { input: { messageId: message.id } });
      await untilAll(roomId, ({ seq }) => seq === next.seq + 1);
      const place = moment % members.length;
      await (members[place] as TestClient).http(moveMark, { input: { roomId, messageId: next.id } });
      await (inboxes[place] as InboxFollower).room(roomId, ({ unreadCount }) => unreadCount === 0, 'the mark');
    }
    const counted = statements();
    await Promise.all(inboxes.map((inbox) => inbox.isRight()));
    for (const member of members) await member.close();
    return counted.filter((text) => !ofChanges.test(text)).map((text) => text.replaceAll(/\s+/g, ' ').slice(0, 60));
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
  });

  it('reads nothing for messages, edits, deletions and marks, whatever the watchers, the rooms and the moments', async () => {
    const few = await spendDay({ firstId: 4_000, watchers: 2, rooms: 1, moments: 4 });
    const many = await spendDay({ firstId: 5_000, watchers: 40, rooms: 6, moments: 24 });

    // A gap between entries that stays for 50 ms, as on a busy machine, is read.
    for (const statements of [few, many]) expect(statements.length, statements.join('\n')).toBeLessThanOrEqual(3);
  });

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
