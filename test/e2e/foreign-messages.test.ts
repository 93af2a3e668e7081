import { randomUUID } from 'node:crypto';
import { connect } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { InboxFollower } from '../support/inbox.js';
import { markRead } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { readStoredLog } from '../support/room-log.js';
import { listsOf, type, typingNow, untilListed, watch } from '../support/typing.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

describeWithNats("a foreign message on Fairway's subjects", () => {
  const world = useWorld();
  const bodies: Record<string, (roomId: string) => string> = {
    'no JSON': () => 'hello',
    nothing: () => '',
    null: () => 'null',
    'an object of another kind': () => '{}',
    'a list': () => '[1]',
    'a message without a position': (roomId) => JSON.stringify({ id: roomId, roomId, senderId: 4, content: 'hello' }),
  };

  it.each(Object.entries(bodies))('costs no live event when it is %s', async (_name, makeBody) => {
    const { kim, roomId, feed } = await meet();
    await publish([`chat.room.${roomId}.message`, `chat.room.${roomId}.read`, 'chat.outbox.acked'], makeBody(roomId));

    const { message } = await kim.send(roomId, 'after it');
    await kim.http(markRead, { input: { roomId, messageId: message.id } });

    // Read marks come over NATS only: an instance that stopped listening would not receive them.
    const events = await feed.count(3);
    expect(events.map(({ __typename, seq }) => [__typename, seq])).toEqual([
      ['RoomReady', 1],
      ['MessageAdded', 2],
      ['MemberRead', 2],
    ]);
  });

  it('costs no live event when it is an entry of a position that the log has not reached', async () => {
    const { kim, roomId, feed } = await meet();
    await publish([`chat.room.${roomId}.message`], JSON.stringify(forgeEntry(roomId, 30)));
    await publish([`chat.room.${roomId}.message`], JSON.stringify(forgeEntry(roomId, 2_000_000_000)));
    const read = forgeMember(roomId, { userId: 6, lastReadSeq: 2_000_000_000 });
    await publish([`chat.room.${roomId}.read`], JSON.stringify(read));

    const { message } = await kim.send(roomId, 'after it');
    await kim.http(markRead, { input: { roomId, messageId: message.id } });

    const events = await feed.count(3);
    expect(events.map(({ __typename, seq }) => [__typename, seq])).toEqual([
      ['RoomReady', 1],
      ['MessageAdded', 2],
      ['MemberRead', 2],
    ]);
  });

  it.each([
    ['a content that is not a string', { content: { text: 'forged' } }],
    ['an author who is no number', { senderId: '4' }],
    ['no time', { createdAt: undefined }],
    ['an unknown notice', { type: 'SYSTEM', system: { code: 'HELLO', userIds: [4] } }],
  ])('is not shown when it is an entry of the next position with %s', async (_name, wrong) => {
    const { kim, roomId, feed } = await meet();
    await publish([`chat.room.${roomId}.message`], JSON.stringify({ ...forgeEntry(roomId, 2), ...wrong }));

    const { message } = await kim.send(roomId, 'after it');

    const events = await feed.count(2);
    expect(events).toMatchObject([
      { __typename: 'RoomReady' },
      { __typename: 'MessageAdded', seq: 2, message: { id: message.id } },
    ]);
  });

  describe('that looks entirely like one of ours', () => {
    it('is not shown in the room, and resyncs no log, whatever its epoch is', async () => {
      const { kim, roomId, feed } = await meet();
      const [{ epoch } = { epoch: '' }] = feed.events;
      const later = 'ffffffff-ffff-7fff-bfff-ffffffffffff';
      const forged = [epoch, later].flatMap((each) =>
        [2, 3].map((seq) => ({ ...forgeEntry(roomId, seq), epoch: each })),
      );
      for (const entry of forged) await publish([`chat.room.${roomId}.message`], JSON.stringify(entry));

      const { message } = await kim.send(roomId, 'after it');

      const events = await feed.count(2);
      expect(events.map((event) => [event.__typename, event.seq, event.epoch])).toEqual([
        ['RoomReady', 1, epoch],
        ['MessageAdded', 2, epoch],
      ]);
      expect(events[1]).toMatchObject({ message: { id: message.id, content: 'after it' } });
    });

    it("ends nobody's typing", async () => {
      const { kim, lee, roomId } = await meet();
      const feed = watch(kim, roomId);
      await feed.count(1);
      await type(lee, roomId);
      await untilListed(feed, lee);
      const [{ epoch } = { epoch: '' }] = await kim.roomEvents({ roomId }).count(1);
      const entry = { ...forgeEntry(roomId, 2), senderId: lee.userId, epoch };
      await publish([`chat.room.${roomId}.message`], JSON.stringify(entry));

      // A real entry follows that ends no typing and reaches every feed.
      const other = kim.roomEvents({ roomId });
      await other.count(1);
      await kim.send(roomId, 'from somebody else');
      await other.count(2);

      expect(await typingNow(kim, roomId)).toEqual([lee.userId]);
      expect(listsOf(feed)).toEqual([[], [lee.userId]]);
    });

    it('changes no inbox', async () => {
      const { kim, lee, roomId } = await meet();
      const quiet = await kim.group(lee.userId);
      const inbox = await InboxFollower.start(lee);
      const [{ epoch } = { epoch: '' }] = await kim.roomEvents({ roomId }).count(1);
      const joining = { code: 'MEMBERS_JOINED', userIds: [lee.userId] };
      const entries = [
        { ...forgeEntry(quiet, 50), epoch },
        { ...forgeEntry(randomUUID(), 1), epoch, type: 'SYSTEM', system: joining },
      ];
      for (const entry of entries) await publish([`chat.room.${entry.roomId}.message`], JSON.stringify(entry));

      await kim.send(roomId, 'in another room');

      await inbox.room(roomId, ({ lastMessage }) => lastMessage?.content === 'in another room', 'the real one');
      expect(inbox.events.filter((event) => event.roomId !== null && event.roomId !== roomId)).toEqual([]);
      await kim.send(quiet, 'and in that one');
      await inbox.room(quiet, ({ lastMessage }) => lastMessage?.content === 'and in that one', 'the next real one');
    });
  });

  it("is not shown when it is a read mark of another room's member", async () => {
    const { kim, roomId, feed } = await meet();
    const { message } = await kim.send(roomId, 'to read');
    await publish([`chat.room.${roomId}.read`], JSON.stringify(forgeMember(randomUUID(), { userId: 6 })));

    await kim.http(markRead, { input: { roomId, messageId: message.id } });

    const events = await feed.count(3);
    expect(events[2]).toMatchObject({ __typename: 'MemberRead', member: { user: { id: '4' } } });
  });

  it.each([
    ['of no room', () => [{ roomId: 'x', from: 1, to: 1 }]],
    ['of more entries than there are', (roomId: string) => [{ roomId, from: 1, to: 2_000_000_000 }]],
    ['of positions beyond 31 bits', (roomId: string) => [{ roomId, from: 2 ** 31, to: 2 ** 31 }]],
  ])('does not stop the outbox when it is an acknowledgement %s', async (_name, makeRanges) => {
    const { kim, roomId } = await meet();
    await publish(['chat.outbox.acked'], JSON.stringify(makeRanges(roomId)));

    const { message } = await kim.send(roomId, 'after it');

    const isPublished = async () => (await readStoredLog(world.database, roomId)).publishedSeq === message.seq;
    await waitFor(isPublished, { what: 'the published mark' });
  });

  it('does not stop the database from filling gaps', async () => {
    const { kim, roomId, feed } = await meet();
    for (const makeBody of Object.values(bodies)) await publish([`chat.room.${roomId}.message`], makeBody(roomId));

    await world.nats.kill();
    await kim.send(roomId, 'without NATS');

    const events = await feed.count(2);
    expect(events.map(({ __typename, seq }) => [__typename, seq])).toEqual([
      ['RoomReady', 1],
      ['MessageAdded', 2],
    ]);
  });

  const forgeEntry = (roomId: string, seq: number) => ({
    kind: 'added',
    id: randomUUID(),
    roomId,
    seq,
    changedSeq: seq,
    senderId: 4,
    senderName: '김철수',
    type: 'TEXT',
    content: 'forged',
    system: null,
    createdAt: new Date().toISOString(),
    editedAt: null,
    deletedAt: null,
    directKey: null,
  });

  const forgeMember = (roomId: string, known: object) => ({
    id: randomUUID(),
    roomId,
    userId: 4,
    isAdmin: false,
    joinedAt: new Date().toISOString(),
    joinedSeq: 1,
    leftAt: null,
    lastReadSeq: 1,
    lastReadMessageId: null,
    lastReadAt: null,
    ...known,
  });

  async function meet() {
    const kim = await world.client(4, 0);
    const lee = await world.client(5, 1);
    const roomId = await kim.group(lee.userId);
    const feed = lee.roomEvents({ roomId });
    await feed.count(1);
    return { kim, lee, roomId, feed };
  }

  async function publish(subjects: readonly string[], body: string): Promise<void> {
    const { url, user, password } = world.nats;
    const connection = await connect({ servers: url, user, pass: password });
    for (const subject of subjects) connection.publish(subject, body);
    await connection.flush();
    await connection.close();
  }
});
