import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import {
  inviteMembers,
  leaveRoom,
  peopleOfRoom,
  removeMember,
  renameRoom,
  setAdmin,
  whoAmI,
} from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { readChatMessages } from '../support/stream.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const [kim, lee, park] = [4, 5, 6];
const bookingId = 77;

describeWithNats('SERVER_LANGUAGE=en', () => {
  const world = useWorld({ instances: 1, env: { SERVER_LANGUAGE: 'en' } });

  let backend: Backend;
  beforeAll(async () => {
    backend = await Backend.connect(world.nats, { user: world.nats.user, pass: world.nats.password });
  });
  afterAll(() => backend?.close());

  const give = async (subject: string, payload: object) => {
    const answer = await backend.ask(subject, payload);
    expect(answer).toMatchObject({ success: true });
    return answer.data;
  };
  const contentsOf = async (roomId: string, userId: number, instance = 0) => {
    const { room } = await (await world.client(userId, instance)).http(peopleOfRoom, { id: roomId });
    return room?.messages.edges.map(({ node }) => node.content);
  };

  it('has the SYSTEM messages of booking rooms in English', async () => {
    const create = { type: 'BOOKING', bookingId, memberIds: [kim, lee], version: 1 };
    const { id: roomId } = await give('chat.rooms.create', create);
    await give('chat.rooms.syncMembers', {
      bookingId,
      version: 2,
      name: '토요일',
      members: [{ userId: kim }, { userId: park }],
    });
    await give('chat.rooms.cancel', { bookingId });

    expect(await contentsOf(roomId, kim)).toEqual([
      "The booking's room is open.",
      '#5 left the booking.',
      '#6 joined the booking.',
      "The room is now called '토요일'.",
      'The booking was cancelled.',
    ]);
  });

  it('leaves the sentences that an earlier release stored as they are', async () => {
    const roomId = await (await world.client(kim)).group(lee);
    await world.database.query(
      `UPDATE chat_messages SET content = '김철수님이 대화방을 만들었습니다.', system = system - 'names' - 'language'
       WHERE room_id = $1`,
      [roomId],
    );

    expect(await contentsOf(roomId, kim)).toEqual(['김철수님이 대화방을 만들었습니다.']);
  });

  it('has SYSTEM messages in English for clients, backends and CHAT_MESSAGES, and on a server in Korean too', async () => {
    await world.start({ SERVER_LANGUAGE: 'ko' });
    const [client, other] = [await world.client(kim), await world.client(lee, 1)];
    await other.http(whoAmI, {});
    const roomId = await client.group(lee);
    await client.http(inviteMembers, { input: { roomId, userIds: [String(park)] } });
    await client.http(setAdmin, { input: { roomId, userId: String(lee), isAdmin: true } });
    await client.http(setAdmin, { input: { roomId, userId: String(lee), isAdmin: false } });
    await client.http(setAdmin, { input: { roomId, userId: String(lee), isAdmin: true } });
    await client.http(removeMember, { input: { roomId, userId: String(park) } });
    await other.http(renameRoom, { input: { roomId, name: '여행' } });
    await client.http(leaveRoom, { input: { roomId } });

    const sentences = [
      '김철수 created the room.',
      '김철수 invited #6.',
      '이영희 became an admin.',
      '이영희 is no longer an admin.',
      '이영희 became an admin.',
      '김철수 removed #6.',
      "이영희님이 대화방 이름을 '여행'(으)로 바꿨습니다.",
      '김철수 left.',
    ];
    expect(await contentsOf(roomId, lee)).toEqual(sentences);
    expect(await contentsOf(roomId, lee, 1)).toEqual(sentences);
    const { messages } = await give('chat.messages.list', { roomId });
    expect(messages.map(({ content }: { content: string }) => content).reverse()).toEqual(sentences);
    const published = await waitFor(
      async () => {
        const stored = (await readChatMessages(world.nats)).filter(({ body }) => body.roomId === roomId);
        return stored.length === sentences.length ? stored : undefined;
      },
      { what: 'all entries to be published' },
    );
    expect(published.map(({ body }) => [body.content, Object.keys(body.system as object)])).toEqual(
      sentences.map((content) => [content, ['code', 'userIds']]),
    );
  });
});
