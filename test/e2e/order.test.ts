import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeAll, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import {
  deleteMessage,
  editMessage,
  inviteMembers,
  markRead,
  removeMember,
  renameRoom,
  sendMessage,
  setAdmin,
} from '../support/operations.js';
import { useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

/** A frame, and the query for the position in the log at which it took effect. */
interface Frame {
  readonly roomId: string;
  readonly query: { toString(): string };
  readonly input: object;
  readonly position: readonly [sql: string, value: string];
}

const seqOf = 'SELECT seq FROM chat_messages WHERE id = $1';
const changeOf = 'SELECT changed_seq AS seq FROM chat_messages WHERE id = $1';
const renamingTo = `SELECT seq FROM chat_messages WHERE system->>'code' = 'ROOM_RENAMED' AND system->>'roomName' = $1`;
const invitationOf = `SELECT seq FROM chat_messages
  WHERE system->>'code' = 'MEMBERS_JOINED' AND system->'userIds' @> to_jsonb($1::int)`;

describeWithNats('operations of one socket', () => {
  const world = useWorld({ instances: 1 });
  let kim: TestClient;
  let socket: RawSocket;
  beforeAll(async () => {
    kim = await world.client(4);
    await (await world.client(5)).group(4);
  });
  afterEach(() => socket?.ws.terminate());

  const connect = async () => {
    socket = await RawSocket.connect(world.instances[0] ?? { url: '' }, kim.token);
    return socket;
  };

  let count = 0;
  /** Sends the operation without waiting, and resolves with its answer. */
  function ask(query: { toString(): string }, input: object) {
    count += 1;
    return socket.ask({ query: `${query}`, variables: { input } }, `${count}`);
  }
  const contentOf = async (id: string) =>
    (await world.database.query<{ content: string }>('SELECT content FROM chat_messages WHERE id = $1', [id]))[0]
      ?.content;

  it('edit a message in the order of their frames', async () => {
    await connect();
    const roomId = await kim.group(5);
    for (let round = 0; round < 40; round += 1) {
      const { message } = await kim.send(roomId, 'v0');
      const edits = countTo(4).map((version) => ask(editMessage, { messageId: message.id, content: `v${version}` }));

      expect((await Promise.all(edits)).filter(({ errors }) => errors !== undefined)).toEqual([]);
      expect(await contentOf(message.id)).toBe('v4');
    }
  });

  it('of every kind take effect in the order of their frames, in each of their rooms', async () => {
    const random = useRandom();
    await connect();
    const roomIds = [await kim.group(5, 6), await kim.group(5, 6), await kim.direct(5)];
    for (let round = 0; round < 6; round += 1) {
      const old = new Map<string, string[]>();
      for (const roomId of roomIds) old.set(roomId, await sendForty(roomId));
      const frames = countTo(40).map(() => makeFrame(random.pick(roomIds), old));

      const answers = await Promise.all(frames.map(({ query, input }) => ask(query, input)));

      expect(answers.filter(({ errors }) => errors !== undefined)).toEqual([]);
      for (const roomId of roomIds) {
        const own = frames.filter((frame) => frame.roomId === roomId);
        const positions = await Promise.all(own.map(({ position: [sql, value] }) => readSeq(sql, value)));
        expect(positions).toEqual(positions.toSorted((a, b) => a - b));
        expect(new Set(positions).size).toBe(own.length);
      }
    }

    async function sendForty(roomId: string): Promise<string[]> {
      const sent = await Promise.all(countTo(40).map((index) => kim.sendOverWs(roomId, `old ${index}`)));
      return sent.map(({ message }) => message.id);
    }

    function makeFrame(roomId: string, old: ReadonlyMap<string, string[]>): Frame {
      const kinds = roomId === roomIds[2] ? (['send', 'edit', 'erase'] as const) : everyKind;
      const messageId = old.get(roomId)?.pop() ?? '';
      const id = randomUUID();
      const userId = random.between(1_000, 2 ** 31 - 1);
      const make = {
        send: () => [sendMessage, { roomId, id, content: 'new' }, [seqOf, id]] as const,
        edit: () => [editMessage, { messageId, content: 'edited' }, [changeOf, messageId]] as const,
        erase: () => [deleteMessage, { messageId: messageId.toUpperCase() }, [changeOf, messageId]] as const,
        rename: () => [renameRoom, { roomId: roomId.toUpperCase(), name: id }, [renamingTo, id]] as const,
        invite: () => [inviteMembers, { roomId, userIds: [`${userId}`] }, [invitationOf, `${userId}`]] as const,
      };
      const [query, input, position] = make[random.pick(kinds)]();
      return { roomId, query, input, position };
    }
  });

  it('find a message that was sent right before', async () => {
    await connect();
    const roomId = await kim.group(5);
    for (let round = 0; round < 20; round += 1) {
      const [id, goneId] = [randomUUID(), randomUUID()];
      const answers = await Promise.all([
        ask(sendMessage, { roomId, id, content: 'v0' }),
        ask(markRead, { roomId, messageId: id }),
        ask(editMessage, { messageId: id.toUpperCase(), content: 'v1' }),
        ask(sendMessage, { roomId, id: goneId, content: 'gone' }),
        ask(deleteMessage, { messageId: goneId }),
        ask(editMessage, { messageId: id, content: 'v2' }),
      ]);

      expect(answers.filter(({ errors }) => errors !== undefined)).toEqual([]);
      expect([await contentOf(id), await contentOf(goneId)]).toEqual(['v2', null]);
    }
  });

  it('keep the order of mutations in one document as well', async () => {
    await connect();
    const [a, b] = [await kim.group(5), await kim.group(5)];
    const send = (roomId: string, content: string) =>
      `sendMessage(input: { roomId: "${roomId}", content: "${content}" }) { message { seq } }`;
    for (let round = 0; round < 10; round += 1) {
      const together = `mutation { a: ${send(a, `${round} 1`)} b: ${send(b, `${round} 1`)} c: ${send(b, `${round} 2`)} }`;
      const answers = await Promise.all([
        socket.ask({ query: together }, `together ${round}`),
        ask(sendMessage, { roomId: b, content: `${round} 3` }),
        ask(sendMessage, { roomId: a, content: `${round} 2` }),
      ]);
      expect(answers.filter(({ errors }) => errors !== undefined)).toEqual([]);
    }

    for (const [roomId, times] of [
      [a, 2],
      [b, 3],
    ] as const) {
      const rows = await world.database.query<{ content: string }>(
        `SELECT content FROM chat_messages WHERE room_id = $1 AND type = 'TEXT' ORDER BY seq`,
        [roomId],
      );
      const expected = countTo(10).flatMap((round) => countTo(times).map((index) => `${round - 1} ${index}`));
      expect(rows.map(({ content }) => content)).toEqual(expected);
    }
  });

  it('invite and remove a member in their order', async () => {
    await connect();
    const roomId = await kim.group(5);
    for (let round = 0; round < 20; round += 1) {
      const [userIds, userId] = [['6'], '6'];
      const answers = await Promise.all([
        ask(inviteMembers, { roomId, userIds }),
        ask(setAdmin, { roomId, userId, isAdmin: true }),
        ask(removeMember, { roomId, userId }),
        ask(inviteMembers, { roomId, userIds }),
        ask(removeMember, { roomId, userId }),
      ]);
      expect(answers.filter(({ errors }) => errors !== undefined)).toEqual([]);
    }
  });

  it('in other rooms are not held up by a room whose row is locked', async () => {
    await connect();
    const [locked, free] = [await kim.group(5), await kim.group(5)];
    const { message } = await kim.send(locked, 'v0');
    const { message: other } = await kim.send(free, 'v0');
    const holder = new pg.Client({ connectionString: world.database.url });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM chat_rooms WHERE id = $1 FOR NO KEY UPDATE', [locked]);

    const answered: string[] = [];
    const note = async <T>(name: string, answer: Promise<T>) => {
      const given = await answer;
      answered.push(name);
      return given;
    };
    const held = [
      note('edit of the locked room', ask(editMessage, { messageId: message.id, content: 'v1' })),
      note('send to the locked room', ask(sendMessage, { roomId: locked, content: 'behind' })),
    ];
    const others = await Promise.all([
      note('edit', ask(editMessage, { messageId: other.id, content: 'v1' })),
      note('rename', ask(renameRoom, { roomId: free, name: 'free' })),
      note('send', ask(sendMessage, { roomId: free, content: 'behind' })),
    ]);
    const before = [...answered];
    await holder.query('COMMIT');
    await holder.end();

    expect(others.map(({ errors }) => errors)).toEqual([undefined, undefined, undefined]);
    expect(before).toEqual(['edit', 'rename', 'send']);
    for (const answer of await Promise.all(held)) expect(answer.errors).toBeUndefined();
    expect(await contentOf(message.id)).toBe('v1');
  });

  async function readSeq(sql: string, value: string): Promise<number> {
    const [row] = await waitFor(async () => await world.database.query<{ seq: number }>(sql, [value]), {
      what: 'the entry',
    });
    return row?.seq ?? 0;
  }
});

const everyKind = ['send', 'edit', 'erase', 'rename', 'invite'] as const;
