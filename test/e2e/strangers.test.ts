import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { TestClient } from '../support/client.js';
import { InboxFollower } from '../support/inbox.js';
import {
  createRoom,
  inviteMembers,
  leaveRoom,
  markRead,
  oneMessage,
  peopleOfRoom,
  presence,
  removeMember,
  renameRoom,
  roomEvents,
  setAdmin,
  typingIn,
  usersByIds,
} from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { stop, type, untilListed, watch } from '../support/typing.js';
import { useWorld } from '../support/world.js';

const [snoop, lee, park] = [4, 5, 6];

describeWithNats('a server with the user directory off', () => {
  const world = useWorld({ instances: 1, env: { USER_DIRECTORY: 'off' } });
  let backend: Backend;
  /** Users whom the chat knows by their tokens, and who are connected. */
  let victims: TestClient[];
  beforeAll(async () => {
    backend = await Backend.connect(world.nats, { user: world.nats.user, pass: world.nats.password });
    victims = [await world.client(lee), await world.client(park)];
    for (const victim of victims) {
      await victim
        .subscribe(presence, { userIds: [String(victim.userId)] })
        .until((events) => events.at(-1)?.presence.status === 'ONLINE', 'the victim to be online');
    }
  });
  afterAll(() => backend?.close());

  const people = async (client: TestClient, roomId: string) => {
    const { room } = await client.http(peopleOfRoom, { id: roomId });
    if (room === null || room === undefined) throw new Error('There is no such room');
    return {
      title: room.title,
      members: room.members.map(({ user }) => [user.id, user.name, user.presence.status]),
      notices: room.messages.edges.map(({ node }) => [
        node.content,
        node.system?.users.map(({ name, presence }) => [name, presence.status]),
      ]),
      senders: room.messages.edges.map(({ node }) => [node.senderName, node.sender.name]),
    };
  };

  it('reveals nothing about a user who is invited by number, in members, titles, notices or presence', async () => {
    const client = await world.client(snoop);
    const roomId = await client.group(lee);
    await client.http(inviteMembers, { input: { roomId, userIds: [String(park)] } });
    await client.http(setAdmin, { input: { roomId, userId: String(park), isAdmin: true } });
    await client.http(removeMember, { input: { roomId, userId: String(park) } });
    await client.http(inviteMembers, { input: { roomId, userIds: [String(park)] } });
    const direct = await client.direct(lee);

    expect(await people(client, roomId)).toMatchObject({
      title: '#5, #6',
      members: [
        ['4', '김철수', 'OFFLINE'],
        ['5', '#5', 'OFFLINE'],
        ['6', '#6', 'OFFLINE'],
      ],
      notices: [
        [
          '김철수님이 대화방을 만들었습니다.',
          [
            ['김철수', 'OFFLINE'],
            ['#5', 'OFFLINE'],
          ],
        ],
        ['김철수님이 #6님을 초대했습니다.', [['#6', 'OFFLINE']]],
        ['#6님이 관리자가 되었습니다.', [['#6', 'OFFLINE']]],
        ['김철수님이 #6님을 내보냈습니다.', [['#6', 'OFFLINE']]],
        ['김철수님이 #6님을 초대했습니다.', [['#6', 'OFFLINE']]],
      ],
    });
    expect((await people(client, direct)).title).toBe('#5');
    expect((await client.http(usersByIds, { ids: ['5', '6'] })).users).toEqual([null, null]);
    const watched = client.subscribe(presence, { userIds: ['5', '4'] });
    await watched.until((events) => events.at(-1)?.presence.status === 'ONLINE', 'the own presence');
    expect(watched.events.map((event) => event.presence.user.id)).not.toContain('5');
    watched.stop();
    await client.close();
  });

  it('reveals nothing about a user who leaves without having written, live or in the history', async () => {
    const client = await world.client(randomInt(1_000, 2 ** 31));
    const [victim] = victims as [TestClient];
    const roomId = await client.group(lee);
    const feed = client.subscribe(roomEvents, { roomId });
    await feed.count(1);

    await victim.http(leaveRoom, { input: { roomId } });

    const [, left] = await feed.count(2);
    const event = left?.roomEvents;
    const id = event !== undefined && 'message' in event ? event.message.id : '';
    const told = { content: '#5님이 나갔습니다.', senderName: '#5', sender: { id: '5', name: '#5' } };
    expect(event).toMatchObject({ message: told });
    expect((await client.http(oneMessage, { id })).message).toMatchObject(told);
    const { notices, senders } = await people(client, roomId);
    expect([notices.at(-1)?.[0], senders.at(-1)]).toEqual([told.content, ['#5', '#5']]);
    feed.stop();
    await client.close();
  });

  it('reveals nothing about a user who types', async () => {
    const client = await world.client(randomInt(1_000, 2 ** 31));
    const [victim] = victims as [TestClient];
    const roomId = await client.group(lee);
    const feed = watch(client, roomId);
    await feed.count(1);

    await type(victim, roomId);

    await untilListed(feed, victim);
    expect(feed.events.at(-1)?.typing.users).toEqual([{ id: '5', name: '#5' }]);
    expect((await client.http(typingIn, { id: roomId })).room?.typing).toEqual([{ id: '5', name: '#5' }]);
    await victim.send(roomId, '누구세요?');
    await untilListed(feed);
    await type(victim, roomId);
    await untilListed(feed, victim);
    expect(feed.events.at(-1)?.typing.users).toEqual([{ id: '5', name: '이영희' }]);
    await stop(victim, roomId);
    feed.stop();
    await client.close();
  });

  it('reveals nothing about a user whose name the server knows already', async () => {
    const client = await world.client(randomInt(1_000, 2 ** 31));
    const [victim] = victims as [TestClient];
    const other = await victim.group(park);
    const { message } = await victim.send(other, '여기는 알아요');
    const inOther = watch(victims[1] as TestClient, other);
    const roomId = await client.group(lee);
    const feed = watch(client, roomId);
    const events = client.subscribe(roomEvents, { roomId });
    await Promise.all([feed.count(1), inOther.count(1), events.count(1)]);

    for (let round = 0; round < 3; round += 1) {
      await type(victim, other);
      await untilListed(inOther, victim);
      expect(inOther.events.at(-1)?.typing.users).toEqual([{ id: '5', name: '이영희' }]);
      expect((await victim.http(oneMessage, { id: message.id })).message?.sender.name).toBe('이영희');

      await type(victim, roomId);
      await untilListed(feed, victim);
      expect(feed.events.at(-1)?.typing.users).toEqual([{ id: '5', name: '#5' }]);
      expect((await client.http(typingIn, { id: roomId })).room?.typing).toEqual([{ id: '5', name: '#5' }]);
      await client.http(setAdmin, { input: { roomId, userId: String(lee), isAdmin: round % 2 === 0 } });
      const { members, notices } = await people(client, roomId);
      expect(members).toContainEqual(['5', '#5', 'OFFLINE']);
      expect(notices.at(-1)?.[1]).toEqual([['#5', 'OFFLINE']]);
      await Promise.all([stop(victim, other), stop(victim, roomId)]);
      await Promise.all([untilListed(inOther), untilListed(feed)]);
    }

    await victim.http(leaveRoom, { input: { roomId } });
    await events.until((all) => JSON.stringify(all).includes('MEMBER_LEFT'), 'the notice');
    const left = events.events.at(-1)?.roomEvents;
    expect(left).toMatchObject({ message: { senderName: '#5', sender: { id: '5', name: '#5' } } });
    expect((await client.http(usersByIds, { ids: ['5'] })).users).toEqual([null]);
    const watched = client.subscribe(presence, { userIds: ['5', String(client.userId)] });
    await watched.until(
      (all) => all.some(({ presence: { user } }) => user.id === String(client.userId)),
      'the own one',
    );
    expect(watched.events.map((event) => event.presence.user.id)).not.toContain('5');
    for (const each of [feed, inOther, events, watched]) each.stop();
    await client.close();
  });

  it.each([
    [
      'renames the room',
      "이영희님이 대화방 이름을 '여행'(으)로 바꿨습니다.",
      (victim: TestClient, roomId: string) => victim.http(renameRoom, { input: { roomId, name: '여행' } }),
    ],
    [
      'invites',
      '이영희님이 #9님을 초대했습니다.',
      (victim: TestClient, roomId: string) => victim.http(inviteMembers, { input: { roomId, userIds: ['9'] } }),
    ],
    [
      'removes somebody',
      '이영희님이 #6님을 내보냈습니다.',
      (victim: TestClient, roomId: string) => victim.http(removeMember, { input: { roomId, userId: String(park) } }),
    ],
    [
      'makes somebody an admin',
      '#6님이 관리자가 되었습니다.',
      (victim: TestClient, roomId: string) =>
        victim.http(setAdmin, { input: { roomId, userId: String(park), isAdmin: true } }),
    ],
  ])('shows the inviter a user who %s', async (_what, sentence, act) => {
    const client = await world.client(randomInt(1_000, 2 ** 31));
    const roomId = await client.group(lee, park);
    await client.http(setAdmin, { input: { roomId, userId: String(lee), isAdmin: true } });

    await act(victims[0] as TestClient, roomId);

    const { members, notices, senders } = await people(client, roomId);
    expect(members).toContainEqual(['5', '이영희', 'ONLINE']);
    expect([notices.at(-1)?.[0], senders.at(-1)]).toEqual([sentence, ['이영희', '이영희']]);
    await client.close();
  });

  it('shows invited users themselves and their inviter', async () => {
    const client = await world.client(7);
    const roomId = await client.group(lee, park);

    const { title, members } = await people(victims[0] as TestClient, roomId);

    expect(title).toBe('#6, 최민수');
    expect(members.map(([, name]) => name)).toEqual(['이영희', '#6', '최민수']);
    await client.close();
  });

  it('titles a room by the last remaining member, even if they have done nothing there yet', async () => {
    const client = await world.client(7);
    const roomId = await client.group(lee);
    await client.http(leaveRoom, { input: { roomId } });

    expect(await people(victims[0] as TestClient, roomId)).toMatchObject({ title: '이영희' });
    await client.close();
  });

  it.each([
    [
      'reads',
      async (victim: TestClient, roomId: string, messageId: string) => {
        await victim.http(markRead, { input: { roomId, messageId } });
      },
    ],
    [
      'writes',
      async (victim: TestClient, roomId: string) => {
        await victim.send(roomId, '누구세요?');
      },
    ],
    [
      'writes several messages at once',
      async (victim: TestClient, roomId: string) => {
        await Promise.all(['누구', '세요', '?'].map((text) => victim.sendOverWs(roomId, text)));
      },
    ],
  ])('shows the inviter a user who %s', async (_what, act) => {
    const client = await world.client(randomInt(1_000, 2 ** 31));
    const [victim] = victims as [TestClient];
    const roomId = await client.group(lee);
    const { message } = await client.send(roomId, '안녕하세요');
    expect((await people(client, roomId)).title).toBe('#5');

    await act(victim, roomId, message.id);

    const { title, members, notices } = await people(client, roomId);
    expect(title).toBe('이영희');
    expect(members).toContainEqual(['5', '이영희', 'ONLINE']);
    expect(notices[0]?.[1]).toContainEqual(['이영희', 'ONLINE']);
    expect((await client.http(usersByIds, { ids: ['5'] })).users).toEqual([{ id: '5', name: '이영희' }]);
    await client.close();
  });

  it('shows users at once whom the inviter knows already or whom the platform adds', async () => {
    const userId = randomInt(1_000, 2 ** 31);
    const client = await world.client(userId);
    await client.http(usersByIds, { ids: [] });
    const { data: room } = await backend.ask('chat.rooms.create', { type: 'GROUP', memberIds: [userId, lee] });
    expect((await people(client, room.id)).title).toBe('이영희');

    const roomId = await client.group(lee, park);

    expect((await people(client, roomId)).title).toBe('이영희, #6');
    await client.close();
  });

  it('shows the name in room lists with the next event once its user has read there, which is no entry', async () => {
    const client = await world.client(randomInt(1_000, 2 ** 31));
    const [victim] = victims as [TestClient];
    const roomId = await client.direct(lee);
    const inbox = await InboxFollower.start(client);
    const { message } = await client.send(roomId, '누구세요');
    await inbox.room(roomId, ({ seq, title }) => seq === message.seq && title === '#5', 'the number');

    await victim.http(markRead, { input: { roomId, messageId: message.id } });
    const { message: next } = await client.send(roomId, '여보세요');

    const { title } = await inbox.room(roomId, ({ seq }) => seq === next.seq, 'the next event');
    expect(title).toBe('이영희');
    await client.close();
  });

  describe('and a daily limit of new users', () => {
    it('refuses further new users, without revealing whom the chat knows', async () => {
      const limited = await world.start({ NEW_USERS_PER_DAY: '3' });
      const client = await TestClient.create(limited, randomInt(1_000, 2 ** 31));
      const fresh = () => String(randomInt(1_000, 2 ** 31));
      const invite = (...participantIds: string[]) =>
        client.http(createRoom, { input: { type: 'GROUP', participantIds } });
      const refusal = { code: 'RATE_LIMITED', extensions: { retryAfterMs: expect.any(Number) } };

      const friends = [fresh(), String(lee)];
      const roomId = (await invite(...friends)).createRoom.room.id;

      await expect(invite(fresh(), fresh())).rejects.toMatchObject(refusal);
      await expect(invite(String(park))).rejects.toMatchObject(refusal);
      const direct = client.http(createRoom, { input: { type: 'DIRECT', participantIds: [String(park)] } });
      await expect(direct).rejects.toMatchObject(refusal);
      for (const userId of [fresh(), String(park)]) {
        const invitation = client.http(inviteMembers, { input: { roomId, userIds: [userId] } });
        await expect(invitation).rejects.toMatchObject(refusal);
      }
      await invite(...friends);
      await client.direct(lee);
      await client.close();
    });
  });
});
