import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import {
  createRoom,
  deleteMessage,
  editMessage,
  history,
  oneMessage,
  oneRoom,
  sendMessage,
} from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

describeWithNats('a repeated request', () => {
  const world = useWorld();

  /** 김철수 and 이영희, each at both instances. */
  const everybody = async () => ({
    kims: [await world.client(4, 0), await world.client(4, 1)] as const,
    lees: [await world.client(5, 0), await world.client(5, 1)] as const,
  });

  const headOf = async (client: TestClient, id: string) => (await client.http(oneRoom, { id })).room?.seq;

  const textsOf = async (client: TestClient, id: string) => {
    const { room } = await client.http(history, { id, first: 100 });
    return room?.messages.edges.filter(({ node }) => node.type === 'TEXT').map(({ node }) => node.content);
  };

  it('creates one DIRECT room from 100 concurrent creations by both users on two instances', async () => {
    const [kims, lees] = [
      [await world.client(104, 0), await world.client(104, 1)],
      [await world.client(105, 0), await world.client(105, 1)],
    ];
    const askers = [
      ...kims.map((client) => ({ client, otherId: '105' })),
      ...lees.map((client) => ({ client, otherId: '104' })),
    ];

    const answers = await Promise.all(
      Array.from({ length: 25 }, () => askers)
        .flat()
        .map(({ client, otherId }) =>
          client.http(createRoom, { input: { type: 'DIRECT', participantIds: [otherId] } }),
        ),
    );

    expect(answers).toHaveLength(100);
    expect(new Set(answers.map(({ createRoom: { room } }) => room.id)).size).toBe(1);
    expect(answers.filter(({ createRoom: { created } }) => created)).toHaveLength(1);
    expect(new Set(answers.map(({ createRoom: { room } }) => room.seq))).toEqual(new Set([1]));
    expect(answers[0]?.createRoom.room.members.map(({ user }) => user.id)).toEqual(['104', '105']);
  });

  it('stores one message from 20 concurrent sends of one id on two instances, over HTTP and WebSocket', async () => {
    const { kims } = await everybody();
    const room = await kims[0].group(5);
    const id = randomUUID();
    const before = await headOf(kims[0], room);
    const ways = kims.flatMap((kim) => [
      () => kim.send(room, '한 번만', id),
      () => kim.sendOverWs(room, '한 번만', id),
    ]);

    const answers = await Promise.all(
      Array.from({ length: 5 }, () => ways)
        .flat()
        .map((send) => send()),
    );

    expect(answers).toHaveLength(20);
    expect(answers.filter(({ duplicate }) => duplicate)).toHaveLength(19);
    expect(new Set(answers.map(({ message }) => JSON.stringify(message))).size).toBe(1);
    expect(answers[0]?.message).toMatchObject({ id, seq: 2, content: '한 번만' });
    expect([before, await headOf(kims[1], room)]).toEqual([1, 2]);
    expect(await textsOf(kims[0], room)).toEqual(['한 번만']);
  });

  it.each(['content', 'author', 'room', 'type'])('is CONFLICT with another %s', async (difference) => {
    const { kims, lees } = await everybody();
    const [room, otherRoom] = [await kims[0].group(5), await kims[0].group(5)];
    const id = randomUUID();
    const content = 'https://example.com/hole-18.jpg';
    await kims[0].send(room, content, id);
    const input = { id, roomId: room, content };
    const retries: Record<string, () => Promise<unknown>> = {
      content: () => kims[1].http(sendMessage, { input: { ...input, content: `${content} ` } }),
      author: () => lees[1].http(sendMessage, { input }),
      room: () => kims[1].http(sendMessage, { input: { ...input, roomId: otherRoom } }),
      type: () => kims[1].http(sendMessage, { input: { ...input, type: 'IMAGE' } }),
    };

    await expect(retries[difference]?.()).rejects.toMatchObject({ code: 'CONFLICT' });

    expect([await headOf(kims[0], room), await headOf(kims[0], otherRoom)]).toEqual([2, 1]);
    expect((await kims[0].http(oneMessage, { id })).message).toMatchObject({ content, sender: { id: '4' } });
  });

  it('returns the stored message as a duplicate, even after an edit', async () => {
    const { kims } = await everybody();
    const room = await kims[0].group(5);
    const id = randomUUID();
    await kims[0].send(room, '처음', id);
    await kims[0].http(editMessage, { input: { messageId: id, content: '고침' } });

    const again = await kims[1].send(room, '처음', id);

    expect(again).toMatchObject({ duplicate: true, message: { id, seq: 2, content: '고침' } });
    await expect(kims[1].send(room, '고침', id)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await headOf(kims[0], room)).toBe(3);
  });

  it('returns a deleted message as a duplicate, and does not restore it', async () => {
    const { kims } = await everybody();
    const room = await kims[0].group(5);
    const id = randomUUID();
    await kims[0].send(room, '잘못 보냄', id);
    await kims[0].http(deleteMessage, { input: { messageId: id } });

    const again = await kims[1].sendOverWs(room, '잘못 보냄', id);

    expect(again).toMatchObject({ duplicate: true, message: { id, seq: 2, content: null } });
    await expect(kims[1].send(room, '다른 말', id)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await headOf(kims[0], room)).toBe(3);
  });

  it('is recognised by its id in upper and in lower case', async () => {
    const { kims } = await everybody();
    const room = await kims[0].group(5);
    const id = randomUUID();

    const first = await kims[0].send(room, '안녕', id.toUpperCase());
    const again = await kims[1].send(room.toUpperCase(), '안녕', id);

    expect(first).toMatchObject({ duplicate: false, message: { id, seq: 2 } });
    expect(again).toMatchObject({ duplicate: true, message: { id, seq: 2 } });
  });

  it('creates a message of its own without an id', async () => {
    const { kims } = await everybody();
    const room = await kims[0].group(5);

    const sent = [await kims[0].send(room, '안녕'), await kims[1].send(room, '안녕')];

    expect(sent.map(({ duplicate }) => duplicate)).toEqual([false, false]);
    expect(await textsOf(kims[0], room)).toEqual(['안녕', '안녕']);
  });
});
