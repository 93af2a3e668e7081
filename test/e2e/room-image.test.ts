import { expect, it } from 'vitest';
import { roomLook, updateRoom } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

const imageUrl = 'https://cdn.example.com/club.png';

describeWithNats('a room with a picture', () => {
  const world = useWorld();

  it('gets it and its name in one mutation, as two entries that every member sees', async () => {
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    const roomId = await kim.group(5);
    const feed = lee.roomEvents({ roomId });
    await feed.count(1);

    const { updateRoom: changed } = await kim.http(updateRoom, { input: { roomId, name: '조기회', imageUrl } });
    expect(changed.room).toMatchObject({ name: '조기회', imageUrl, seq: 3 });
    expect((await feed.count(3)).slice(1)).toMatchObject([
      { seq: 2, message: { content: "김철수님이 대화방 이름을 '조기회'(으)로 바꿨습니다." } },
      { seq: 3, message: { content: '김철수님이 대화방 사진을 바꿨습니다.', system: { code: 'ROOM_IMAGE_CHANGED' } } },
    ]);
    expect(await lee.http(roomLook, { id: roomId })).toMatchObject({ room: { name: '조기회', imageUrl } });
    feed.stop();
  });

  it('keeps what an update does not name, and adds no entry for what is the same', async () => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    const update = async (input: { name?: string | null; imageUrl?: string | null }) =>
      (await kim.http(updateRoom, { input: { roomId, ...input } })).updateRoom.room;
    await update({ name: '조기회', imageUrl });

    expect(await update({ name: '조기회', imageUrl })).toMatchObject({ name: '조기회', imageUrl, seq: 3 });
    expect(await update({})).toMatchObject({ name: '조기회', imageUrl, seq: 3 });
    expect(await update({ name: '새 조기회' })).toMatchObject({ name: '새 조기회', imageUrl, seq: 4 });
    expect(await update({ name: null, imageUrl: null })).toMatchObject({ name: '새 조기회', imageUrl: null, seq: 5 });
  });

  it('is changed by its admins only, and never if it is DIRECT', async () => {
    const [kim, lee, stranger] = [await world.client(4), await world.client(5), await world.client(9)];
    const roomId = await kim.group(5);
    const change = (client: typeof kim, id: string) => client.http(updateRoom, { input: { roomId: id, imageUrl } });
    await expect(change(lee, roomId)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(change(stranger, roomId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(change(kim, await kim.direct(5))).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await kim.http(roomLook, { id: roomId })).toMatchObject({ room: { imageUrl: null, seq: 1 } });
  });

  it.each([
    '',
    'http://example.com/a.png',
    'javascript:alert(1)',
    'https://u@example.com/',
    `https://e.com/${'a'.repeat(2_000)}`,
  ])('refuses %j as its picture', async (bad) => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    await expect(kim.http(updateRoom, { input: { roomId, name: '이름', imageUrl: bad } })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    expect(await kim.http(roomLook, { id: roomId })).toMatchObject({ room: { name: null, seq: 1 } });
  });
});
