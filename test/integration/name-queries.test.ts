import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signToken } from '../../src/auth/sign-token.js';
import { beginEpoch } from '../../src/db/epochs.js';
import { Backend } from '../support/backend.js';
import { TestClient } from '../support/client.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { testSecret } from '../support/instance.js';
import { startNats, type TestNats } from '../support/nats.js';
import {
  editMessage,
  inboxEvents,
  markRead,
  oneMessage,
  presence,
  roomEvents,
  setAdmin,
  whoAmI,
} from '../support/operations.js';
import { startOwnApp, statementsOf } from '../support/own-app.js';
import { describeWithNats } from '../support/requirements.js';
import { stop, type, untilListed, watch } from '../support/typing.js';
import { waitFor } from '../support/wait-for.js';

/** Statements that read users for the sake of their names, alone or as members of a room. */
const readsNames = (text: string): boolean =>
  (/FROM chat_users u WHERE u\.id = ANY/.test(text) && !text.includes('online_since')) ||
  (text.includes('AS a(room_id, user_id)') && /JOIN chat_users u ON u\.id = [am]\./.test(text));

const [kimId, leeId] = [4, 5];
/** Shorter than the lifetime of a known name, which would bring the new one as well. */
const shownMs = 30_000;

describeWithNats('the names in events', () => {
  let database: TestDatabase;
  let nats: TestNats;
  let backend: Backend;
  let apps: Awaited<ReturnType<typeof startOwnApp>>[];
  /** Each user at both instances. */
  let kims: TestClient[];
  let lees: TestClient[];
  /** Members of the room, half of them at each instance. */
  let viewers: TestClient[];
  let roomId: string;

  beforeAll(async () => {
    [database, nats] = await Promise.all([createDatabase(), startNats()]);
    const env = { USER_DIRECTORY: 'on', CHANGES_PER_MINUTE: '100000', SUBSCRIPTIONS_PER_MINUTE: '100000' };
    apps = await Promise.all([startOwnApp({ database, nats }, env), startOwnApp({ database, nats }, env)]);
    backend = await Backend.connect(nats);
    kims = await Promise.all(apps.map((app) => TestClient.create(app, kimId)));
    lees = await Promise.all(apps.map((app) => TestClient.create(app, leeId)));
    viewers = await Promise.all(
      [10, 11, 12, 13, 14, 15].map((id, place) => TestClient.create(at(apps, place % 2), id)),
    );
    for (const client of [...kims, ...lees, ...viewers]) await client.http(whoAmI, {});
    roomId = await kim().group(leeId, ...viewers.map(({ userId }) => userId));
  });
  afterAll(async () => {
    await Promise.all([...kims, ...lees, ...viewers].map((client) => client.close()));
    await backend?.close();
    await Promise.all(apps.map((app) => app.stop()));
    await nats.stop();
    await database.drop();
  });

  const kim = () => at(kims, 0);
  const lee = () => at(lees, 1);
  const nameStatementsOf = async (work: () => Promise<unknown>) => (await statementsOf(work)).filter(readsNames);

  /** Repeats the work until it reads no name. */
  const untilKnown = (work: () => Promise<unknown>) =>
    waitFor(async () => (await nameStatementsOf(work)).length === 0, { what: 'the names to be known', pollMs: 100 });

  /** Subscribes all viewers to the room; the result waits until all have received what the work causes. */
  async function watchRoom() {
    const feeds = viewers.map((viewer) => viewer.subscribe(roomEvents, { roomId }));
    await Promise.all(feeds.map((feed) => feed.count(1)));
    return {
      stop: () => feeds.forEach((feed) => void feed.stop()),
      receive: (isMeant: (event: (typeof feeds)[number]['events'][number]['roomEvents']) => boolean) =>
        Promise.all(
          feeds.map((feed) => feed.until((events) => events.some((e) => isMeant(e.roomEvents)), 'the event')),
        ),
    };
  }

  it('take no statement for a read mark, an edit or a change of members, once they are known', async () => {
    const room = await watchRoom();
    const { message } = await kim().send(roomId, 'first');
    let edits = 0;
    let isAdmin = false;
    const talk = async () => {
      const sent = await kim().send(roomId, 'read this');
      await lee().http(markRead, { input: { roomId, messageId: sent.message.id } });
      await room.receive((event) => event.__typename === 'MemberRead' && event.member.lastReadSeq === sent.message.seq);
      const content = `edited ${edits++}`;
      await kim().http(editMessage, { input: { messageId: message.id, content } });
      await room.receive((event) => event.__typename === 'MessageUpdated' && event.message.content === content);
      isAdmin = !isAdmin;
      const changed = await kim().http(setAdmin, { input: { roomId, userId: String(leeId), isAdmin } });
      await room.receive((event) => event.seq === changed.setAdmin.room.seq);
    };

    await untilKnown(talk);

    for (let round = 0; round < 5; round += 1) expect(await nameStatementsOf(talk)).toEqual([]);
    room.stop();
  });

  it('take no statement for a list of typists, for viewers who type and others, once they are known', async () => {
    const feeds = viewers.map((viewer) => watch(viewer, roomId));
    await Promise.all(feeds.map((feed) => feed.count(1)));
    const talk = async () => {
      const [first, second] = [at(viewers, 0), at(viewers, 1)];
      await type(first, roomId);
      await type(second, roomId);
      await Promise.all(feeds.slice(2).map((feed) => untilListed(feed, first, second)));
      await Promise.all([untilListed(at(feeds, 0), second), untilListed(at(feeds, 1), first)]);
      await Promise.all([stop(first, roomId), stop(second, roomId)]);
      await Promise.all(feeds.map((feed) => untilListed(feed)));
    };

    await untilKnown(talk);

    expect(await nameStatementsOf(talk)).toEqual([]);
    for (const feed of feeds) feed.stop();
  });

  it('take no statement for the first list that names a viewer of the room, since their subscription has read the name', async () => {
    const atOne = viewers.filter((_, place) => place % 2 === 0);
    const typist = at(atOne, 0);
    const typeInNewRoom = async () => {
      const newRoom = await kim().group(leeId, ...atOne.map(({ userId }) => userId));
      const feeds = atOne.map((viewer) => watch(viewer, newRoom));
      await Promise.all(feeds.map((feed) => feed.count(1)));
      const statements = await nameStatementsOf(async () => {
        await type(typist, newRoom);
        await Promise.all(feeds.slice(1).map((feed) => untilListed(feed, typist)));
      });
      for (const feed of feeds) feed.stop();
      return statements;
    };

    // No name is kept in the first seconds of a connection to NATS.
    await waitFor(async () => (await typeInNewRoom()).length === 0, { what: 'a list without a statement' });
  });

  it('take no statement in inboxes and for presence, once they are known', async () => {
    const feeds = viewers.map((viewer) => viewer.subscribe(inboxEvents, {}));
    await Promise.all(feeds.map((feed) => feed.count(1)));
    const talk = async () => {
      const { message } = await kim().send(roomId, 'to all inboxes');
      const isShown = ({ inboxEvents: { room } }: (typeof feeds)[number]['events'][number]) =>
        room?.lastMessage?.id === message.id && room.lastMessage.sender.name === '김철수';
      await Promise.all(feeds.map((feed) => feed.until((events) => events.some(isShown), 'the message')));
      for (const viewer of viewers) {
        const feed = viewer.subscribe(presence, { userIds: [String(leeId)] });
        expect((await feed.count(1))[0]?.presence.user.name).toBe('이영희');
        feed.stop();
      }
    };

    await untilKnown(talk);

    for (let round = 0; round < 3; round += 1) expect(await nameStatementsOf(talk)).toEqual([]);
    for (const feed of feeds) feed.stop();
  });

  describeWithNats('that change', () => {
    const authorOf = async (client: TestClient, id: string) =>
      (await client.http(oneMessage, { id })).message?.sender.name;

    /** Makes both instances know the author's name. */
    const untilBothKnow = (id: string) =>
      untilKnown(async () => {
        for (const client of kims) await authorOf(client, id);
      });

    it('by a newer token are shown at once by the instance that stores them, and by the others a moment later', async () => {
      const author = await TestClient.create(at(apps, 0), 20);
      await author.http(whoAmI, {});
      const room = await author.group(kimId);
      const { message } = await author.send(room, 'who am I?');
      await untilBothKnow(message.id);

      for (const name of ['이름 하나', '이름 둘', '이름 셋']) {
        const token = await signToken(testSecret, { userId: 20, name });
        await (await TestClient.create(at(apps, 0), 20, token)).http(whoAmI, {});
        expect(await authorOf(kim(), message.id)).toBe(name);
        await waitFor(async () => (await authorOf(at(kims, 1), message.id)) === name, {
          what: 'the new name',
          timeoutMs: shownMs,
        });
        await untilBothKnow(message.id);
      }
      await author.close();
    });

    it('with a restored database are shown by all instances once they know its epoch', async () => {
      const { message } = await lee().send(roomId, 'who am I?');
      await untilBothKnow(message.id);
      const store = (name: string) => database.query('UPDATE chat_users SET name = $2 WHERE id = $1', [leeId, name]);
      await store('이방원');
      for (const client of kims) expect(await authorOf(client, message.id)).toBe('이영희');

      await beginEpoch(database.url);

      for (const client of kims) {
        const isShown = async () => {
          // Its answer has the epoch.
          await client.send(roomId, 'who is it now?');
          return (await authorOf(client, message.id)) === '이방원';
        };
        await waitFor(isShown, { what: 'the restored name', timeoutMs: shownMs, pollMs: 200 });
      }
      await store('이영희');
    });

    it.each<[string, (user: { userId: number; name: string; roomId: string }) => readonly [string, object]]>([
      ['an upsert', ({ userId, name }) => ['chat.users.upsert', { userId, name }]],
      [
        'a message of theirs that a backend saves',
        ({ userId, name, roomId: room }) => [
          'chat.messages.save',
          { id: randomUUID(), roomId: room, senderId: userId, senderName: name, content: 'hello' },
        ],
      ],
      [
        'an invitation by a backend',
        ({ userId, name, roomId: room }) => [
          'chat.rooms.addMember',
          { roomId: room, userId: kimId, memberIds: [userId], memberNames: [name] },
        ],
      ],
      [
        'a room that a backend creates',
        ({ userId, name }) => [
          'chat.rooms.create',
          { type: 'GROUP', creatorId: kimId, memberIds: [kimId, userId], memberNames: ['김철수', name] },
        ],
      ],
      [
        'the members of a booking',
        ({ userId, name }) => [
          'chat.rooms.syncMembers',
          { bookingId: userId, version: 1, members: [{ userId, userName: name }] },
        ],
      ],
    ])('by %s are shown by all instances', async (what, change) => {
      const userId = 1_000 + what.length;
      const { data: room } = await backend.ask('chat.rooms.create', {
        type: 'GROUP',
        memberIds: [kimId, userId],
        memberNames: ['김철수', '옛이름'],
      });
      const id = randomUUID();
      await backend.ask('chat.messages.save', { id, roomId: room.id, senderId: userId, content: 'who am I?' });
      await untilBothKnow(id);
      expect(await authorOf(kim(), id)).toBe('옛이름');

      const [subject, payload] = change({ userId, name: '새이름', roomId: room.id });
      expect(await backend.ask(subject, payload)).toMatchObject({ success: true });

      for (const client of kims) {
        await waitFor(async () => (await authorOf(client, id)) === '새이름', {
          what: 'the new name',
          timeoutMs: shownMs,
        });
      }
    });
  });
});

function at<T>(all: readonly T[], place: number): T {
  const found = all[place];
  if (found === undefined) throw new Error(`There is nothing at ${place}`);
  return found;
}
