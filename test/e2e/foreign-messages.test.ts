import { connect } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { markRead } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { readStoredLog } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

describeWithNats("what others publish on Fairway's subjects", () => {
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

    // Read marks come over NATS alone: who has stopped listening to it never hears of them.
    const events = await feed.count(3);
    expect(events.map(({ __typename, seq }) => [__typename, seq])).toEqual([
      ['RoomReady', 1],
      ['MessageAdded', 2],
      ['MemberRead', 2],
    ]);
  });

  it('costs no live event when it is an entry of a position that the log has not reached', async () => {
    const { kim, roomId, feed } = await meet();
    const at = (seq: number) =>
      JSON.stringify({ kind: 'added', id: roomId, roomId, seq, changedSeq: seq, senderId: 4, content: 'forged' });
    await publish([`chat.room.${roomId}.message`], at(30));
    await publish([`chat.room.${roomId}.message`], at(2_000_000_000));
    await publish([`chat.room.${roomId}.read`], JSON.stringify({ userId: 6, lastReadSeq: 2_000_000_000 }));

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
    ['of no room', () => [{ roomId: 'x', from: 1, to: 1 }]],
    ['of more entries than there are', (roomId: string) => [{ roomId, from: 1, to: 2_000_000_000 }]],
    ['of positions beyond all', (roomId: string) => [{ roomId, from: 2 ** 31, to: 2 ** 31 }]],
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

  async function meet() {
    const kim = await world.client(4, 0);
    const lee = await world.client(5, 1);
    const roomId = await kim.group(lee.userId);
    const feed = lee.roomEvents({ roomId });
    await feed.count(1);
    return { kim, roomId, feed };
  }

  async function publish(subjects: readonly string[], body: string): Promise<void> {
    const { url, user, password } = world.nats;
    const connection = await connect({ servers: url, user, pass: password });
    for (const subject of subjects) connection.publish(subject, body);
    await connection.flush();
    await connection.close();
  }
});
