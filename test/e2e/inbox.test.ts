import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import { expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import { InboxFollower, type InboxRoom } from '../support/inbox.js';
import {
  deleteMessage,
  editMessage,
  inboxEvents,
  inviteMembers,
  leaveRoom,
  markRead,
  removeMember,
  renameRoom,
} from '../support/operations.js';
import { useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { nameEverybody, useWorld } from '../support/world.js';

const [viewer, friend, third] = [4, 5, 6];
const maxUnanswered = 50;

describeWithNats('inboxEvents', () => {
  const world = useWorld({ instances: 2 });

  it('shows every change of a room that was made on the other instance', async () => {
    const [mine, theirs] = [await world.client(viewer, 0), await world.client(friend, 1)];
    const inbox = await InboxFollower.start(mine);

    const roomId = await theirs.group(viewer);
    await inbox.room(roomId, ({ memberCount }) => memberCount === 2, 'a room that somebody else made');

    const { message } = await theirs.send(roomId, '안녕하세요');
    await inbox.room(
      roomId,
      ({ unreadCount, lastMessage }) => unreadCount === 1 && lastMessage?.content === '안녕하세요',
      'a new message',
    );

    await theirs.http(editMessage, { input: { messageId: message.id, content: '안녕!' } });
    await inbox.room(roomId, ({ lastMessage }) => lastMessage?.content === '안녕!', 'an edit of the last message');

    await theirs.http(deleteMessage, { input: { messageId: message.id } });
    await inbox.room(
      roomId,
      ({ unreadCount, lastMessage }) => unreadCount === 0 && lastMessage?.id !== message.id,
      'the deletion of the last message',
    );

    await theirs.http(renameRoom, { input: { roomId, name: '새 이름' } });
    await inbox.room(roomId, ({ title, name }) => title === '새 이름' && name === '새 이름', 'a rename');

    await theirs.http(inviteMembers, { input: { roomId, userIds: [String(third)] } });
    await inbox.room(roomId, ({ memberCount }) => memberCount === 3, 'a new member');

    await (await world.client(third, 1)).http(leaveRoom, { input: { roomId } });
    await inbox.room(roomId, ({ memberCount }) => memberCount === 2, 'a member who left');

    await theirs.http(removeMember, { input: { roomId, userId: String(viewer) } });
    await waitFor(() => !inbox.list.has(roomId), { what: 'the removal' });
    expect(inbox.events.at(-1)).toEqual({ kind: 'ROOM_REMOVED', roomId, room: null });

    await theirs.http(inviteMembers, { input: { roomId, userIds: [String(viewer)] } });
    await inbox.room(roomId, ({ title }) => title === '새 이름', 'the room of somebody who came back');
    await inbox.isRight();
  });

  it("shows the viewer's read mark from another connection, to the same or another instance", async () => {
    const [mine, theirs] = [await world.client(viewer, 0), await world.client(friend, 1)];
    const roomId = await theirs.direct(viewer);
    const inbox = await InboxFollower.start(mine);
    for (const instance of [0, 1]) {
      const { message } = await theirs.send(roomId, '읽어 주세요');
      await inbox.room(roomId, ({ unreadCount }) => unreadCount > 0, 'an unread message');

      const phone = await world.client(viewer, instance);
      await phone.http(markRead, { input: { roomId, messageId: message.id } });

      await inbox.room(
        roomId,
        ({ unreadCount, viewerMember }) => unreadCount === 0 && viewerMember.lastReadSeq === message.seq,
        `the read mark of instance ${instance}`,
      );
    }
  });

  it('shows nothing of the rooms of others, and a read mark only to its reader', async () => {
    const [mine, theirs] = [await world.client(viewer, 0), await world.client(friend, 1)];
    const strange = await theirs.direct(third);
    const shared = await theirs.direct(viewer);
    const inbox = await InboxFollower.start(mine);

    const { message } = await theirs.send(strange, '우리끼리');
    await (await world.client(third, 0)).http(markRead, { input: { roomId: strange, messageId: message.id } });
    const { message: last } = await (await world.client(viewer, 1)).send(shared, '나');
    await theirs.http(markRead, { input: { roomId: shared, messageId: last.id } });
    await inbox.room(shared, ({ seq }) => seq === last.seq, 'the last message');
    // Long enough for a second event of the room, if the friend's read mark made one.
    await delay(700);

    expect(inbox.events.filter(({ roomId }) => roomId === strange)).toEqual([]);
    expect(inbox.events.filter(({ roomId }) => roomId === shared)).toHaveLength(1);
  });

  it('reaches each of several connections, and those that remain after one stops', async () => {
    const theirs = await world.client(friend, 1);
    const roomId = await theirs.direct(viewer);
    const clients = await Promise.all([0, 0, 1].map((instance) => world.client(viewer, instance)));
    const inboxes = await Promise.all(clients.map((client) => InboxFollower.start(client)));

    const { message } = await theirs.send(roomId, '모두에게');
    for (const inbox of inboxes) await inbox.room(roomId, ({ seq }) => seq === message.seq, 'the message');
    inboxes[0]?.feed.stop();
    const { message: next } = await theirs.send(roomId, '둘에게');

    for (const inbox of inboxes.slice(1)) await inbox.room(roomId, ({ seq }) => seq === next.seq, 'the next message');
    expect(inboxes[0]?.list.get(roomId)?.seq).toBe(message.seq);
  });

  it('shows the room to everybody who is invited while others write to it', async () => {
    const [here, there] = [await world.client(20, 0), await world.client(20, 1)];
    const roomId = await here.group(21);
    const invited = await Promise.all(Array.from({ length: 20 }, (_, index) => world.client(100 + index, 1)));
    const inboxes = await Promise.all(invited.map((client) => InboxFollower.start(client)));
    // A member's inbox makes the room known there, so entries that overtake the invitation are not new to the instance.
    await InboxFollower.start(await world.client(21, 1));

    for (const { userId } of invited) {
      await Promise.all([
        here.http(inviteMembers, { input: { roomId, userIds: [String(userId)] } }),
        ...Array.from({ length: 6 }, (_, pauseMs) => delay(pauseMs).then(() => there.send(roomId, `${pauseMs}`))),
      ]);
    }

    for (const inbox of inboxes) await inbox.room(roomId, () => true, 'the room');
    for (const inbox of inboxes) await inbox.isRight();
  });

  it.each([{ members: false }, { members: true }])(
    'notifies a removed member that the room is gone, and shows nothing after the removal, $members',
    async (shown) => {
      const random = useRandom();
      const [admin, other] = [await world.client(60, 0), await world.client(60, 1)];
      const mine = await world.client(61, 0);
      const roomIds = await Promise.all(Array.from({ length: 60 }, () => admin.group(61, 62)));
      await nameEverybody(world);
      const inbox = await InboxFollower.start(mine, shown);
      // The state of each room is known then.
      await Promise.all(roomIds.map((roomId) => admin.send(roomId, '처음')));
      for (const roomId of roomIds) {
        await inbox.room(roomId, ({ lastMessage }) => lastMessage?.content === '처음', 'the first message');
      }

      for (const roomId of roomIds) {
        // The removal comes at any moment of the event, from this instance or the other one.
        await admin.sendOverWs(roomId, '마지막');
        await delay(random.between(0, 80));
        const remover = random.pick([admin, other]);
        await remover.http(removeMember, { input: { roomId, userId: '61' } });
        await remover.send(roomId, '비밀');
      }

      await waitFor(() => inbox.list.size === 0, { what: 'the end of all rooms' });
      expect(inbox.feed.isEnded).toBe(false);
      const rooms = inbox.events.flatMap(({ room }) => room ?? []);
      expect(rooms.length).toBeGreaterThan(60);
      for (const room of rooms) {
        expect(room).toMatchObject({ memberCount: 3, lastMessage: { seq: room.seq } });
        expect(room.lastMessage?.content).not.toBe('비밀');
        expect(room.unreadCount).toBe(['처음', '마지막'].indexOf(room.lastMessage?.content ?? '') + 1);
        expect(room.members?.length).toBe(shown.members ? 3 : undefined);
      }
    },
  );

  it('shows unpublished entries and a late invitation, even if another subscriber has already seen them', async () => {
    const [mine, theirs, late] = await Promise.all([30, 31, 32].map((id) => world.client(id, 0)));
    const roomId = await (theirs as TestClient).group(30, 32);
    const inbox = await InboxFollower.start(mine as TestClient);
    await inbox.room(roomId, () => true, 'the room');
    const guest = await InboxFollower.start(await world.client(33, 0));

    // Like an instance that dies before it publishes.
    await world.database.query('SELECT chat_invite_members($1, 31, $2, 100, $3)', [roomId, [33], randomUUID()]);
    await world.database.query("SELECT chat_send_message($1, $2, 31, 'TEXT', '알리지 못한 것')", [
      randomUUID(),
      roomId,
    ]);
    const other = await InboxFollower.start(late as TestClient);

    const looks = ({ lastMessage }: InboxRoom) => lastMessage?.content === '알리지 못한 것';
    await inbox.room(roomId, looks, 'what was not published');
    await guest.room(roomId, looks, 'the invitation');
    expect(other.list.get(roomId)?.lastMessage?.content).toBe('알리지 못한 것');
  });

  it('shows unpublished entries that are found with a new member', async () => {
    const [mine, theirs] = [await world.client(34, 0), await world.client(35, 0)];
    const roomId = await theirs.group(34);
    const inbox = await InboxFollower.start(mine);
    await inbox.room(roomId, () => true, 'the room');
    const guest = await InboxFollower.start(await world.client(36, 0));

    // Both in one statement: an instance that finds the guest loads the room with the message already.
    await world.database.query(
      "SELECT chat_invite_members($1, 35, $2, 100, $3), chat_send_message($4, $1, 35, 'TEXT', '알리지 못한 것')",
      [roomId, [36], randomUUID(), randomUUID()],
    );

    const looks = ({ lastMessage }: InboxRoom) => lastMessage?.content === '알리지 못한 것';
    await guest.room(roomId, looks, 'the invitation');
    await inbox.room(roomId, looks, 'what was not published');
  });

  it('continues after foreign messages on its subjects', async () => {
    const [mine, theirs] = [await world.client(40, 0), await world.client(41, 0)];
    const roomId = await theirs.group(40);
    const inbox = await InboxFollower.start(mine);
    const { url, user, password } = world.nats;
    const nats = await connect({ servers: url, user, pass: password });
    const foreign = { kind: 'added', id: roomId, roomId, seq: 2_000_000_000, changedSeq: 2_000_000_000, system: null };
    const subject = `chat.room.${roomId}.message`;
    nats.publish(subject, JSON.stringify(foreign));
    nats.publish(
      subject,
      JSON.stringify({ ...foreign, seq: 5, changedSeq: 5, roomId: 'x', system: { userIds: [40] } }),
    );
    nats.publish(subject, JSON.stringify({ ...foreign, seq: 6, changedSeq: 6, system: { userIds: 40 } }));
    await nats.close();

    const { message } = await theirs.send(roomId, '그래도');

    await inbox.room(roomId, ({ seq }) => seq === message.seq, 'the message');
    expect(inbox.feed.isEnded).toBe(false);
  });

  it('delays an event that cannot be loaded, and sends it later', async () => {
    const [mine, theirs] = [await world.client(50, 0), await world.client(51, 1)];
    const roomId = await theirs.group(50);
    const inbox = await InboxFollower.start(mine);
    const locked = new pg.Client({ connectionString: world.database.url });
    await locked.connect();
    await theirs.send(roomId, '하나');
    await inbox.room(roomId, ({ lastMessage }) => lastMessage?.content === '하나', 'the first message');
    await locked.query('BEGIN');
    await locked.query("SELECT chat_send_message($1, $2, 51, 'TEXT', '둘')", [randomUUID(), roomId]);
    await locked.query('COMMIT');
    await locked.query('BEGIN');
    await locked.query('LOCK TABLE chat_messages');
    // Longer than a statement may take.
    await delay(17_000);
    await locked.query('COMMIT');
    await locked.end();

    await inbox.room(roomId, ({ lastMessage }) => lastMessage?.content === '둘', 'the second message');
    expect(inbox.feed.error).toBeUndefined();
  });

  it('refuses a client without a token', async () => {
    const response = await fetch(`${world.instances[0]?.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: inboxEvents.toString() }),
    });
    expect(await response.text()).toContain('"UNAUTHENTICATED"');
  });

  it('sends at most one event per room and 250 ms for 200 rooms with 100 messages a second, and ends in the true state', async () => {
    const reader = await world.client(40, 0);
    const writers = await Promise.all([0, 1].map((instance) => world.client(41, instance)));
    const [first] = writers as [typeof reader, typeof reader];
    const roomIds: string[] = [];
    // More at once would be refused on a busy machine.
    while (roomIds.length < 200) {
      roomIds.push(...(await Promise.all(Array.from({ length: 20 }, () => first.group(40)))));
    }
    const inbox = await InboxFollower.start(reader);
    // Half of the load goes to five rooms; otherwise no room would come near the limit.
    const busy = roomIds.slice(0, 5);

    const sends: Promise<unknown>[] = [];
    const startedAt = performance.now();
    for (let number = 0; number < 600; number += 1) {
      const turn = Math.floor(number / 2);
      const room = number % 2 === 0 ? busy[turn % busy.length] : roomIds[turn % roomIds.length];
      sends.push((writers[number % 2] as typeof reader).send(room as string, `${number}`));
      await delay(Math.max(0, startedAt + number * 10 - performance.now()));
      await sends[number - maxUnanswered];
    }
    await Promise.all(sends);
    await inbox.isRight();

    const allowed = 1 + (performance.now() - startedAt) / 250;
    const counts = new Map<string, number>();
    for (const { roomId } of inbox.events) if (roomId != null) counts.set(roomId, (counts.get(roomId) ?? 0) + 1);
    expect(counts.size).toBe(200);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(allowed);
    // There were enough events to reach the limit.
    expect(Math.max(...counts.values())).toBeGreaterThan(2);
  });
});
