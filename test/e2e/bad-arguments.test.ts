import { randomUUID } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { describeWithNats } from '../support/requirements.js';
import { type Answer, postOperation, RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

type Operation = Parameters<typeof postOperation>[1];

describeWithNats('an argument that is out of bounds', () => {
  const world = useWorld({ instances: 1, env: { USER_DIRECTORY: 'on' } });
  let instance: Instance;
  let kim: TestClient;
  let room: string;
  const sockets: RawSocket[] = [];

  beforeAll(async () => {
    instance = world.instances[0] as Instance;
    kim = await world.client(4);
    room = await kim.group(5);
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.ws.terminate();
  });

  const asks: Record<string, (operation: Operation) => Promise<Answer>> = {
    HTTP: (operation) => postOperation(instance, operation, { authorization: `Bearer ${kim.token}` }),
    WebSocket: async (operation) => {
      const socket = await RawSocket.connect(instance, kim.token);
      sockets.push(socket);
      return socket.ask(operation);
    },
  };
  const messages = (args: string) => `messages${args} { edges { node { id } } }`;
  const members = (args: string) => `memberPage${args} { edges { node { id } } }`;
  const inRoom = (selection: string) => `{ room(id: "${room}") { id ${selection} } }`;

  describe.each(Object.entries(asks))('over %s', (_transport, ask) => {
    const refused: Record<string, () => Operation> = {
      'a page of 101 messages': () => ({ query: inRoom(messages('(last: 101)')) }),
      'a page of 0 messages': () => ({ query: inRoom(messages('(first: 0)')) }),
      'a page of -1 messages': () => ({ query: inRoom(messages('(first: -1)')) }),
      'a page at both ends': () => ({ query: inRoom(messages('(first: 1, last: 1)')) }),
      'a page without a size': () => ({ query: inRoom(messages('')) }),
      'a text that is not a cursor': () => ({ query: inRoom(messages('(first: 1, after: "x")')) }),
      'a cursor of rooms': () => ({ query: inRoom(messages(`(last: 1, before: "${cursorOf('room 1 ', room)}")`)) }),
      'a page of 101 members': () => ({ query: inRoom(members('(first: 101)')) }),
      'a page of no members': () => ({ query: inRoom(members('(first: 0)')) }),
      'members after a text that is not a cursor': () => ({ query: inRoom(members('(after: "x")')) }),
      'members after a message cursor': () => ({
        query: inRoom(members(`(after: "${cursorOf('message ', `${room} 5`)}")`)),
      }),
      'a size in a variable': () => ({
        query: `query Q($n: Int!) { room(id: "${room}") { ...R } } fragment R on Room { ... on Room { ${messages('(first: $n)')} } }`,
        variables: { n: 1_000 },
      }),
      'a page in a list': () => ({ query: `{ rooms { edges { node { ${messages('(first: 1000)')} } } } }` }),
      'a page of rooms': () => ({ query: '{ rooms(first: 101) { edges { cursor } } }' }),
      'a search for too many': () => ({ query: '{ searchUsers(text: "x", first: 101) { id } }' }),
      'too many users': () => ({
        query: 'query Q($ids: [ID!]!) { users(ids: $ids) { id } }',
        variables: { ids: Array.from({ length: 101 }, (_, index) => String(index + 1)) },
      }),
    };

    it.each(Object.entries(refused))('is refused before anything is executed: %s', async (_what, operation) => {
      const answer = await ask(operation());
      expect(answer.errors).toEqual([
        expect.objectContaining({
          locations: [expect.anything()],
          extensions: { code: 'BAD_USER_INPUT' },
        }),
      ]);
      // A null room would look like a room that the viewer is not a member of.
      expect('data' in answer).toBe(false);
    });

    it('stops a mutation before it runs if its answer cannot be built', async () => {
      const id = randomUUID();
      const send = (size: number) => ({
        query: `mutation { sendMessage(input: { id: "${id}", roomId: "${room}", content: "x" }) {
          duplicate message { room { ${messages(`(last: ${size})`)} } } } }`,
      });
      expect((await ask(send(101))).errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
      expect((await ask(send(1))).data).toMatchObject({ sendMessage: { duplicate: false } });
    });

    it('stops a subscription before it starts if its events cannot be built', async () => {
      const answer = await ask({
        query: `subscription { roomEvents(roomId: "${room}") {
          ... on MessageAdded { message { room { ${messages('(last: 101)')} } } } } }`,
      });
      expect(answer.errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
      expect('data' in answer).toBe(false);
    });

    it('is ignored if the field is skipped', async () => {
      const query = `query Q($no: Boolean!, $yes: Boolean!, $n: Int) {
        room(id: "${room}") {
          a: ${messages('(first: 1000) @include(if: $no)')}
          b: ${messages('(first: $n) @skip(if: $yes)')}
          ... @include(if: $no) { c: ${messages('')} }
          ...F @skip(if: $yes)
          id
        }
      }
      fragment F on Room { d: ${messages('(last: 0)')} }`;
      expect(await ask({ query, variables: { no: false, yes: true } })).toMatchObject({ data: { room: { id: room } } });
      const asked = await ask({ query, variables: { no: false, yes: false, n: 5 } });
      expect(asked.errors?.[0]?.message).toMatch(/last must be at least 1/);
    });
  });
});

const cursorOf = (before: string, id: string): string => Buffer.from(before + id).toString('base64url');
