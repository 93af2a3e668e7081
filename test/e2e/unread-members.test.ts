import { expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import {
  deleteMessage,
  firstUnread,
  inviteMembers,
  leaveRoom,
  moveMark,
  removeMember,
  unreadMembers,
  unreadMembersOf,
} from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

describeWithNats('the members who have not read a message', () => {
  const world = useWorld({ instances: 1 });

  /** The count of each text of the room, in their order, from the page; and from the messages one by one, which agree. */
  async function counts(client: TestClient, id: string): Promise<number[]> {
    const { room } = await client.http(unreadMembers, { id });
    const texts = (room?.messages.edges ?? []).map(({ node }) => node).filter(({ type }) => type === 'TEXT');
    for (const { id: messageId, unreadMemberCount } of texts) {
      const { message } = await client.http(unreadMembersOf, { id: messageId });
      expect(message?.unreadMemberCount, 'of the message alone').toBe(unreadMemberCount);
    }
    return texts.map(({ unreadMemberCount }) => unreadMemberCount);
  }

  const read = (client: TestClient, roomId: string, messageId: string) =>
    client.http(moveMark, { input: { roomId, messageId } });

  it('are counted without the author, until they have read it', async () => {
    const [kim, lee, park] = [await world.client(4), await world.client(5), await world.client(6)];
    const room = await kim.group(5, 6);
    const first = await kim.send(room, '하나');
    const second = await lee.send(room, '둘');
    expect(await counts(kim, room)).toEqual([2, 2]);

    await read(lee, room, first.message.id);
    expect(await counts(kim, room)).toEqual([1, 2]);

    await read(park, room, second.message.id);
    expect(await counts(kim, room), 'a mark counts for what is before it').toEqual([0, 1]);

    await read(lee, room, second.message.id);
    await read(kim, room, second.message.id);
    expect(await counts(park, room), "an author's own mark changes nothing").toEqual([0, 0]);
  });

  it('are those who could have read it: not who joined later, nor who has left', async () => {
    const [kim, lee, park] = [await world.client(4), await world.client(5), await world.client(6)];
    const room = await kim.group(5);
    await kim.send(room, '둘일 때');
    await kim.http(inviteMembers, { input: { roomId: room, userIds: ['6'] } });
    const last = await kim.send(room, '셋일 때');
    expect(await counts(kim, room)).toEqual([1, 2]);

    await lee.http(leaveRoom, { input: { roomId: room } });
    expect(await counts(kim, room), 'without the one who left').toEqual([0, 1]);

    await kim.http(inviteMembers, { input: { roomId: room, userIds: ['5'] } });
    await kim.send(room, '다시 셋');
    expect(await counts(kim, room), 'who is back sees the rest as history').toEqual([0, 1, 2]);

    await read(park, room, last.message.id);
    expect(await counts(kim, room)).toEqual([0, 0, 2]);
    await kim.http(removeMember, { input: { roomId: room, userId: '6' } });
    expect(await counts(kim, room)).toEqual([0, 0, 1]);
  });

  it('leave a first unread message, which follows the mark, deletions and the joining', async () => {
    const [kim, lee] = [await world.client(4), await world.client(5)];
    const room = await kim.group(5);
    const firstOf = async (client: TestClient) => {
      const { room: found } = await client.http(firstUnread, { id: room });
      return [found?.unreadCount, found?.firstUnreadMessage?.content ?? null];
    };
    const [one, two] = [await kim.send(room, '하나'), await kim.send(room, '둘')];
    await lee.send(room, '셋');
    expect(await firstOf(lee)).toEqual([2, '하나']);
    expect(await firstOf(kim), 'own messages are not unread').toEqual([1, '셋']);

    await kim.http(deleteMessage, { input: { messageId: one.message.id } });
    expect(await firstOf(lee)).toEqual([1, '둘']);
    await read(lee, room, two.message.id);
    expect(await firstOf(lee)).toEqual([0, null]);

    await kim.http(inviteMembers, { input: { roomId: room, userIds: ['6'] } });
    const park = await world.client(6);
    expect(await firstOf(park), 'the history of a new member').toEqual([0, null]);
    await kim.send(room, '넷');
    expect(await firstOf(park)).toEqual([1, '넷']);
  });
});
