import { expect, it } from 'vitest';
import { describeWithNats } from '../support/requirements.js';
import { deleteMessage, editMessage, inviteMembers } from '../support/operations.js';
import { useWorld } from '../support/world.js';

describeWithNats('a conversation over two instances', () => {
  const world = useWorld();

  it('reaches the other instance in order, each entry once', async () => {
    const kim = await world.client(4, 0);
    const lee = await world.client(5, 1);
    const room = await kim.group(5);
    const feed = lee.roomEvents({ roomId: room, afterSeq: 0 });
    await feed.until((events) => events.some(({ __typename }) => __typename === 'RoomReady'), 'RoomReady');

    const sent = await kim.sendOverWs(room, '안녕하세요');
    await lee.send(room, '네, 안녕하세요');
    await kim.ws(editMessage, { input: { messageId: sent.message.id, content: '안녕하세요!' } });
    await kim.ws(deleteMessage, { input: { messageId: sent.message.id } });
    await lee.http(inviteMembers, { input: { roomId: room, userIds: ['6'] } });

    const events = await feed.count(7);
    expect(events.map(({ __typename, seq }) => [__typename, seq])).toEqual([
      ['MessageAdded', 1],
      ['RoomReady', 1],
      ['MessageAdded', 2],
      ['MessageAdded', 3],
      ['MessageUpdated', 4],
      ['MessageDeleted', 5],
      ['MessageAdded', 6],
    ]);
  });
});
