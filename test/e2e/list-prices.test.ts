import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import { makeFullRooms } from '../support/full-rooms.js';
import type { Instance } from '../support/instance.js';
import { describeWithNats } from '../support/requirements.js';
import { type Answer, postOperation, RawSocket, type ServerMessage } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const fullRooms = 60;

describeWithNats(`a server with ${fullRooms} rooms of 500 members`, () => {
  const world = useWorld({ instances: 1 });
  let instance: Instance;
  let kim: TestClient;
  let roomIds: string[];
  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    kim = await world.client(4);
    roomIds = await makeFullRooms(world.database, 4, fullRooms);
  });

  const ask = (query: string): Promise<Answer> =>
    postOperation(instance, { query }, { authorization: `Bearer ${kim.token}` });
  const inRooms = (first: number, fields: string) => `{ rooms(first: ${first}) { edges { node { id ${fields} } } } }`;
  const nodes = ({ data }: Answer) =>
    (data as { rooms: { edges: { node: Record<string, unknown[]> }[] } }).rooms.edges.map(({ node }) => node);

  const tooLarge: Record<string, string> = {
    'the presence of all members of all rooms': inRooms(100, 'members { user { presence { status } } }'),
    'all present and former members': inRooms(100, 'members(includeLeft: true) { user { id name } }'),
    'all members of all rooms by fragments': `{ rooms(first: 100) { edges { node { ...R } } } }
      fragment R on Room { a: members { user { ...U } } b: members { isAdmin } } fragment U on User { id name }`,
    'all users that the last entries name': inRooms(100, 'lastMessage { system { users { id name } } }'),
    'all users who have read in all rooms': inRooms(
      100,
      'messages(last: 1) { edges { node { readBy { readAt user { id } } } } }',
    ),
    'all readers of the last messages': inRooms(100, 'lastMessage { readBy { readAt user { id } } }'),
    'the presence of all members of several rooms, one by one': `{ ${Array.from(
      { length: 15 },
      (_, index) => `r${index}: room(id: "${'0'.repeat(8)}") { members { user { presence { status } } } }`,
    ).join(' ')} }`,
  };
  it.each(Object.entries(tooLarge))('refuses to answer with %s, and recommends memberPage', async (_what, query) => {
    let place = 0;
    const answer = await ask(query.replaceAll('0'.repeat(8), () => String(roomIds[place++])));

    expect(answer.errors?.[0]).toMatchObject({
      message: expect.stringMatching(/(may|would) touch \d+ fields.*at most 20000.*\(memberPage\)/),
      extensions: { code: 'BAD_USER_INPUT' },
      locations: [expect.anything()],
    });
    // A null room, or a room without its last message, would look like a missing one.
    expect('data' in answer).toBe(false);
  });

  it('answers with the members of a list of rooms: a page of each room, or all of a few', async () => {
    const page = await ask(
      inRooms(fullRooms, 'memberPage(first: 5) { totalCount edges { node { user { id name } } } }'),
    );
    expect(page.errors).toBeUndefined();
    expect(nodes(page)).toEqual(
      Array(fullRooms).fill(
        expect.objectContaining({ memberPage: { totalCount: 500, edges: Array(5).fill(expect.anything()) } }),
      ),
    );

    const all = await ask(inRooms(12, 'members { user { name } }'));
    expect(all.errors).toBeUndefined();
    expect(nodes(all).map(({ members }) => members?.length)).toEqual(Array(12).fill(500));
  });

  it('answers with all members of one room, by every path to them', async () => {
    const fields = 'members { id isAdmin joinedAt leftAt lastReadSeq user { id name presence { status lastSeenAt } } }';
    const room = await ask(`{ room(id: "${roomIds[0]}") { ${fields} lastMessage { readBy { readAt user { name } }
      system { users { id name } } room { memberCount ever: members(includeLeft: true) { user { id } } } } } }`);

    expect(room.errors).toBeUndefined();
    const { members, lastMessage } = (room.data as { room: Record<string, unknown> }).room;
    expect(members).toHaveLength(500);
    expect(lastMessage).toMatchObject({
      readBy: { length: 499 },
      system: { users: { length: 500 } },
      room: { memberCount: 500, ever: { length: 500 } },
    });
  });

  it('refuses a mutation before it runs if its answer may be too large', async () => {
    const many = Array.from({ length: 12 }, (_, index) => `a${index}: user { name presence { status } }`).join(' ');
    const rename = (fields: string) =>
      ask(`mutation { renameRoom(input: { roomId: "${roomIds[1]}", name: "renamed" }) { room { name ${fields} } } }`);
    await world.database.query('UPDATE chat_room_members SET is_admin = true WHERE user_id = 4');

    const refused = await rename(`members { ${many} }`);
    expect(refused.errors?.[0]).toMatchObject({
      message: expect.stringContaining('memberPage'),
      extensions: { code: 'BAD_USER_INPUT' },
    });
    expect('data' in refused).toBe(false);
    expect(await ask(`{ room(id: "${roomIds[1]}") { name } }`)).toMatchObject({
      data: { room: { name: expect.stringContaining('full') } },
    });
    expect(await rename('members { user { id name } isAdmin }')).toMatchObject({
      data: { renameRoom: { room: { name: 'renamed', members: { length: 500 } } } },
    });
  });

  describe('sends events', () => {
    const subscribe = async (roomId: string, fields: string, afterSeq?: number) => {
      const socket = await RawSocket.connect(instance, kim.token);
      const from = afterSeq === undefined ? '' : `, afterSeq: ${afterSeq}`;
      socket.send({
        id: '1',
        type: 'subscribe',
        payload: { query: `subscription { messageAdded(roomId: "${roomId}"${from}) { ${fields} } }` },
      });
      return socket;
    };
    const until = (socket: RawSocket, type: string) =>
      socket.until((message) => message.type === type, `a message '${type}'`);

    it('with a few fields of all members, and of all users that an entry names', async () => {
      const roomId = String(roomIds[2]);
      const fields = 'seq system { users { id name } } room { members { isAdmin } }';
      const socket = await subscribe(roomId, fields, 0);
      expect(await until(socket, 'next')).toMatchObject({
        payload: {
          data: { messageAdded: { system: { users: { length: 500 } }, room: { members: { length: 500 } } } },
        },
      });
      socket.ws.terminate();
    });

    it('until the selection has too many fields of each member, and then ends with an error', async () => {
      const roomId = String(roomIds[3]);
      const socket = await subscribe(roomId, 'seq room { members { user { name presence { status } } } }', 0);
      expect(await until(socket, 'next')).toMatchObject({
        payload: {
          errors: [
            {
              message: expect.stringMatching(/would touch \d+ fields.*at most 2500.*\(memberPage\)/),
              extensions: { code: 'BAD_USER_INPUT' },
            },
          ],
        },
      });
      await until(socket, 'complete');
      socket.ws.terminate();
    });

    it('with the read marks of all members at once, beside all other events that a client shows', async () => {
      const roomId = String(roomIds[5]);
      const query = readFileSync(join(import.meta.dirname, '../../clients/operations/RoomEvents.graphql'), 'utf8');
      const socket = await RawSocket.connect(instance, kim.token);
      socket.send({ id: '1', type: 'subscribe', payload: { query, variables: { roomId, reads: 'BATCHED' } } });
      await until(socket, 'next');
      const marks = await world.database.query<object>(
        `SELECT id, room_id AS "roomId", user_id AS "userId", is_admin AS "isAdmin", joined_at AS "joinedAt",
           joined_seq AS "joinedSeq", left_at AS "leftAt", last_read_seq AS "lastReadSeq",
           last_read_message_id AS "lastReadMessageId", last_read_at AS "lastReadAt"
         FROM chat_room_members WHERE room_id = $1`,
        [roomId],
      );
      const { url, user, password } = world.nats;
      const connection = await connect({ servers: url, user, pass: password });
      for (const mark of marks) connection.publish(`chat.room.${roomId}.read`, JSON.stringify(mark));
      await connection.drain();

      // Normally it is one event; on a slow machine the last marks may come a second later.
      const marksIn = ({ payload }: ServerMessage) =>
        (payload as { data?: { roomEvents?: { members?: object[] } } } | undefined)?.data?.roomEvents?.members
          ?.length ?? 0;
      const received = () => socket.messages.reduce((sum, message) => sum + marksIn(message), 0);
      await socket.until(() => received() >= marks.length, 'all marks');
      expect([received(), JSON.stringify(socket.messages).includes('"errors"')]).toEqual([500, false]);
      socket.ws.terminate();
    });

    it('until one user has too many large selections, and refuses another one', async () => {
      const roomId = String(roomIds[4]);
      const open = async (index: number) => {
        const socket = await RawSocket.connect(instance, kim.token);
        const query = `subscription { roomEvents(roomId: "${roomId}", afterSeq: 0) { seq
          ... on MessageAdded { a${index}: message { room { members { user { id name } } } } } } }`;
        socket.send({ id: '1', type: 'subscribe', payload: { query } });
        return socket;
      };
      const sockets = await Promise.all(Array.from({ length: 10 }, (_, index) => open(index)));
      for (const socket of sockets) await until(socket, 'next');
      const same = await open(0);
      await until(same, 'next');

      const another = await open(99);
      expect(await until(another, 'next')).toMatchObject({
        payload: { errors: [{ message: expect.stringContaining('pages'), extensions: { code: 'RATE_LIMITED' } }] },
      });
      expect(JSON.stringify((await until(same, 'next')).payload)).not.toContain('errors');
      sockets[5]?.ws.terminate();
      await expect
        .poll(async () => {
          const again = await open(99);
          sockets.push(again);
          return (await until(again, 'next')).payload;
        })
        .toMatchObject({ data: {} });
      for (const socket of [...sockets, same, another]) socket.ws.terminate();
    });
  });
});
