import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Attack, Bystander, type Kind } from '../support/bystander.js';
import type { TestClient } from '../support/client.js';
import { makeFullRooms } from '../support/full-rooms.js';
import type { Instance } from '../support/instance.js';
import { Reader } from '../support/reader.js';
import { describeWithNats } from '../support/requirements.js';
import { postOperation, RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

/** As they are by default, where the tests' world lifts them. */
const realLimits = {
  COMPLEXITY_PER_MINUTE: '3000000',
  OPERATIONS_PER_MINUTE: '30000',
  SUBSCRIPTIONS_PER_MINUTE: '1000',
  REPLAYED_PER_MINUTE: '240000',
};

describeWithNats('a bystander sends, reads and subscribes as fast as ever', () => {
  const world = useWorld({ instances: 1, env: realLimits });
  let instance: Instance;
  let bystander: Bystander;
  let attacker: TestClient;
  let roomId: string;
  /** Of rooms of 500. */
  let member: TestClient;
  let fullRooms: string[];

  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    attacker = await world.client(4);
    roomId = await fillRooms(attacker);
    member = await world.client(8);
    fullRooms = await makeFullRooms(world.database, member.userId, 100);
    bystander = await Bystander.start(instance, await world.client(6), 7);
  });
  afterAll(() => bystander?.stop());
  afterEach(() => expect(instance.process.exitCode, instance.output()).toBeNull());

  /** One thing that somebody does to everybody else. */
  const during = (what: string, attack: Attack): void =>
    it(`while ${what}`, async ({ annotate }) => {
      const { usual, attacked } = await bystander.endures(attack);
      const told = Object.entries(usual).map(([kind, ms]) => `${kind} ${attacked[kind as Kind]} ms (${ms} as a rule)`);
      await annotate(`p99: ${told.join(', ')}`);
    });

  during('somebody without a token asks for much that does not exist, on many lines', async (signal) => {
    const names = Array.from({ length: 120 }, (_, index) => `x${index}`).join(' ');
    while (!signal.aborted) {
      const { errors } = await postOperation(instance, { query: `${'\n'.repeat(118_000)}{ ${names} }` });
      expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
    }
  });

  during(
    'somebody opens sockets and sends 100,000 pings over each, without a word about who they are',
    async (signal) => {
      const ping = Buffer.from(JSON.stringify({ type: 'ping' }));
      while (!signal.aborted) {
        const socket = new RawSocket(instance);
        await socket.opened();
        for (let count = 0; count < 100_000 && socket.closed === undefined; count += 1_000) {
          for (let each = 0; each < 1_000; each += 1) socket.ws.send(ping, { binary: false });
          await delay(0);
        }
        socket.ws.terminate();
      }
    },
  );

  const slowToRead = slowDocuments();
  during('somebody without a token asks for what is slow to validate, on 40 lines', async (signal) => {
    const ask = async () => {
      while (!signal.aborted) await postOperation(instance, { query: slowToRead() });
    };
    await Promise.all(Array.from({ length: 40 }, ask));
  });

  during('somebody asks for what is slow to validate, on 10 sockets', async (signal) => {
    const ask = async () => {
      while (!signal.aborted) {
        const socket = await RawSocket.connect(instance, attacker.token);
        for (let times = 0; times < 50 && !signal.aborted && socket.closed === undefined; times += 1) {
          await socket.ask({ query: slowToRead() }).catch(() => undefined);
        }
        socket.ws.terminate();
      }
    };
    await Promise.all(Array.from({ length: 10 }, ask));
  });

  during('somebody subscribes with a quarter of a megabyte of variables each, on 10 sockets', async (signal) => {
    // In memory each of these objects is 20 times as large.
    const variables = { roomId, junk: Array.from({ length: 80_000 }, () => ({})) };
    const subscribe = async () => {
      while (!signal.aborted) {
        const socket = await RawSocket.connect(instance, attacker.token);
        for (let number = 0; number < 11 && !signal.aborted && socket.closed === undefined; number += 1) {
          await socket.ask({ query: live, variables }, `${number}`).catch(() => undefined);
        }
        socket.ws.terminate();
      }
    };
    await Promise.all(Array.from({ length: 10 }, subscribe));
  });

  during('somebody sends conditions nested 50,000 deep', async (signal) => {
    const query = 'query Q($b: Boolean!) { viewer { id @include(if: $b) } }';
    const deep = `${'['.repeat(50_000)}1${']'.repeat(50_000)}`;
    const operation = `{"id":"deep","type":"subscribe","payload":{"query":"${query}","variables":{"b":${deep}}}}`;
    const send = async () => {
      while (!signal.aborted) {
        const socket = await RawSocket.connect(instance, attacker.token);
        for (let times = 0; times < 20 && !signal.aborted && socket.closed === undefined; times += 1) {
          socket.ws.send(operation);
          await socket.until(({ id }) => id === 'deep', 'the refusal').catch(() => undefined);
          socket.messages.length = 0;
        }
        socket.ws.terminate();
      }
    };
    await Promise.all(Array.from({ length: 10 }, send));
  });

  during('somebody asks 30 times at once for a list of rooms that has a megabyte, again and again', async (signal) => {
    const headers = { authorization: `Bearer ${attacker.token}` };
    const ask = async () => {
      while (!signal.aborted) {
        const answer = await postOperation(instance, { query: roomList }, headers).catch(() => undefined);
        if (answer === undefined) continue;
        const { errors, text } = answer;
        if (errors === undefined) expect(text.length).toBeGreaterThan(1_000_000);
        else expect(errors[0]?.extensions.code, text).toBe('RATE_LIMITED');
      }
    };
    await Promise.all(Array.from({ length: 30 }, ask));
  });

  during(
    'somebody subscribes from the beginning and completes at once, on 10 sockets, again and again',
    async (signal) => {
      const loop = async () => {
        const socket = await RawSocket.connect(instance, attacker.token);
        for (let round = 0; !signal.aborted && socket.closed === undefined; round += 1) {
          const ids = Array.from({ length: 45 }, (_, index) => `${round}.${index}`);
          for (const id of ids) socket.subscribe(id, { query: replay, variables: { roomId } });
          await delay(20);
          for (const id of ids) socket.send({ type: 'complete', id });
          socket.messages.length = 0;
        }
        socket.ws.terminate();
      };
      await Promise.all(Array.from({ length: 10 }, loop));
    },
  );

  const inRooms = (first: number, fields: string) => `{ rooms(first: ${first}) { edges { node { ${fields} } } } }`;
  /** Eight at a time, all the while. */
  const keepAsking = (signal: AbortSignal, queries: readonly string[], allowed: readonly string[]) =>
    Promise.all(
      Array.from({ length: 8 }, async (_, place) => {
        for (let index = place; !signal.aborted; index += 1) {
          const query = queries[index % queries.length] ?? '';
          const { errors } = await postOperation(instance, { query }, { authorization: `Bearer ${member.token}` });
          if (errors !== undefined) expect(allowed, query).toContain(errors[0]?.extensions.code);
        }
      }),
    );

  during('somebody asks who is there in a hundred rooms of 500 members, over and over', (signal) =>
    keepAsking(signal, [inRooms(100, 'members { user { presence { status } } }')], ['BAD_USER_INPUT', 'RATE_LIMITED']),
  );

  during('somebody asks for as much of rooms of 500 members as one query may have, over and over', (signal) =>
    keepAsking(
      signal,
      [
        inRooms(12, 'members { user { name } }'),
        inRooms(2, 'members { user { presence { status } } }'),
        inRooms(19, 'lastMessage { system { users { name } } }'),
        inRooms(9, 'messages(last: 1) { edges { node { readBy { readAt user { name } } } } }'),
        inRooms(45, 'memberPage(first: 100) { edges { node { user { name } } } }'),
      ],
      ['RATE_LIMITED'],
    ),
  );

  /** Four sockets with fifty subscriptions each to a room of 500 in which others write; what comes is thrown away. */
  const follow = async (signal: AbortSignal, selectionOf: (place: number) => string) => {
    const sockets = await Promise.all(
      Array.from({ length: 4 }, async (_, number) => {
        const socket = await RawSocket.connect(instance, member.token);
        socket.ws.removeAllListeners('message');
        for (let place = 50 * number; place < 50 * (number + 1); place += 1) {
          const query = `subscription { messageAdded(roomId: "${fullRooms[0]}") { ${selectionOf(place)} } }`;
          socket.subscribe(String(place), { query });
        }
        return socket;
      }),
    );
    const writer = await world.client(100_001);
    while (!signal.aborted) {
      await writer.send(String(fullRooms[0]), 'good morning');
      await delay(200);
    }
    for (const { ws } of sockets) ws.terminate();
  };

  during('somebody has all members of a room of 500 told 200 times with each message', (signal) =>
    follow(signal, () => 'seq room { members { user { name } } }'),
  );

  during('somebody has all members of a room of 500 told with each message, in 200 ways', (signal) =>
    follow(signal, (place) => `a${place}: seq room { members { user { name } } }`),
  );

  during('somebody asks for large answers on 60 connections, again and again, and reads none', async (signal) => {
    const { token, page } = await fillRoom();
    const never = async () => {
      while (!signal.aborted) {
        const reader = await Reader.connect(instance);
        // The system's own buffers take the first.
        reader.ask(token, page(2), page(2), page(2));
        await delay(1_000);
        reader.close();
      }
    };
    await Promise.all(Array.from({ length: 60 }, never));
  });

  during('somebody asks again and again for more than an answer may have', async (signal) => {
    const { token, page } = await fillRoom();
    const ask = async () => {
      while (!signal.aborted) await postOperation(instance, page(7), { authorization: `Bearer ${token}` });
    };
    await Promise.all(Array.from({ length: 10 }, ask));
  });

  /** A room with 1.6 MB in its last hundred messages, and how to ask for all of them so many times. */
  async function fillRoom() {
    const attacker = await world.client(8);
    const roomId = await attacker.group(9);
    await world.database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content)
       SELECT gen_random_uuid(), $1, n, n, 8, 'eve', 'TEXT', $2 FROM generate_series(2, 101) n`,
      [roomId, '😀'.repeat(4_000)],
    );
    await world.database.query('UPDATE chat_rooms SET seq = 101, published_seq = 101 WHERE id = $1', [roomId]);
    const page = (times: number) => {
      const contents = Array.from({ length: times }, (_, index) => `c${index}: content`).join(' ');
      const query = `query ($id: ID!) { room(id: $id) { messages(last: 100) { edges { node { ${contents} } } } } }`;
      return { query, variables: { id: roomId } };
    };
    return { token: attacker.token, page };
  }
});

/** As many rooms with as many messages as one query may ask for: a megabyte. Resolves with one of the rooms. */
async function fillRooms(client: TestClient): Promise<string> {
  const roomIds: string[] = [];
  for (let count = 0; count < 30; count += 1) roomIds.push(await client.group(5));
  for (const roomId of roomIds) {
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => client.send(roomId, `${index} `.padEnd(1_800, 'long '))),
    );
  }
  return roomIds[0] as string;
}

const roomList = `{ rooms(first: 30) { edges { node { id title
  messages(last: 20) { edges { node { id content sender { id name } } } } } } } }`;
const live = 'subscription Live($roomId: ID!) { roomEvents(roomId: $roomId) { seq } }';
const replay = `subscription Replay($roomId: ID!) {
  roomEvents(roomId: $roomId, afterSeq: 0) { __typename seq ... on MessageAdded { message { id content sender { name } } } }
}`;

/** New documents of a few kinds, each of which graphql takes long to validate. */
function slowDocuments(): () => string {
  const repeat = (count: number, of: (index: number) => string) =>
    Array.from({ length: count }, (_, i) => of(i)).join(' ');
  const next = (index: number) => `...F${index + 1}`;
  const kinds = [
    `{viewer{${'id '.repeat(900)}}}`,
    `{${'viewer{id name}'.repeat(190)}}`,
    `{...F0}${repeat(99, (index) => `fragment F${index} on Query{${next(index)}}`)} fragment F99 on Query{viewer{id}}`,
    repeat(150, (index) => `query Q${index}{viewer{id}}`),
  ];
  let number = 0;
  return () => {
    number += 1;
    return `${kinds[number % kinds.length]} # ${number} ${Math.random()}`;
  };
}
