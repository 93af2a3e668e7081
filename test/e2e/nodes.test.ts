import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { node, removeMember, roomWithCursors } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

describeWithNats('nodes', () => {
  const world = useWorld({ instances: 1, env: { USER_DIRECTORY: 'off' } });

  it('are fetched again by their ids: rooms, messages, members and users', async () => {
    const [kim] = await Promise.all([world.client(4), world.client(5)]);
    const roomId = await kim.group(5);
    const { message } = await kim.send(roomId, '안녕');
    const { room } = await kim.http(roomWithCursors, { id: roomId });
    const members = room?.members ?? [];
    expect(members).toHaveLength(2);

    const find = async (id: string) => (await kim.http(node, { id })).node;
    expect(await find(roomId)).toMatchObject({ __typename: 'Room', id: roomId, seq: 2, memberCount: 2 });
    expect(await find(message.id)).toMatchObject({ __typename: 'Message', id: message.id, content: '안녕' });
    for (const { id, user, joinedSeq } of members) {
      expect(await find(id)).toMatchObject({ __typename: 'RoomMember', id, joinedSeq, user: { id: user.id } });
    }
    expect(await find('User:4')).toMatchObject({ __typename: 'User', id: '4', name: '김철수' });
  });

  it('are null for viewers who may not see them, as for ids of nothing', async () => {
    const [kim, lee, stranger] = [await world.client(4), await world.client(5), await world.client(9)];
    const roomId = await kim.group(5);
    const { message } = await kim.send(roomId, '우리끼리');
    const { room } = await kim.http(roomWithCursors, { id: roomId });
    const ids = [roomId, message.id, ...(room?.members ?? []).map(({ id }) => id), 'User:4'];
    for (const id of [...ids, randomUUID(), 'User:2147483647']) {
      expect((await stranger.http(node, { id })).node, id).toBeNull();
    }

    await kim.http(removeMember, { input: { roomId, userId: '5' } });
    for (const id of ids.slice(0, -1)) expect((await lee.http(node, { id })).node, 'after a removal').toBeNull();
  });

  it.each(['', 'room', 'User:', 'User:0', 'User:x', 'User:2147483648', '5', `${randomUUID()}'`])(
    'refuse %j as an id',
    async (id) => {
      const kim = await world.client(4);
      await expect(kim.http(node, { id })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    },
  );

  it('show a member who is not confirmed without the name', async () => {
    const kim = await world.client(4);
    await (await world.client(8)).group();
    const roomId = await kim.group(8);
    const { room } = await kim.http(roomWithCursors, { id: roomId });
    const member = room?.members.find(({ user }) => user.id === '8');
    const { node: found } = await kim.http(node, { id: member?.id ?? '' });
    expect(found).toMatchObject({ user: { id: '8', name: '#8', avatarUrl: null } });
  });
});
