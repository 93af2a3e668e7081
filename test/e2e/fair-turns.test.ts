import pg from 'pg';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { type Answer, postOperation, RawSocket, type ServerMessage } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const atOnce = 4;
const maxWaiting = 100;
/** Waits at the lock. */
const roomList = '{ rooms { edges { node { id title } } } }';
/** Does not wait at the lock. */
const viewer = '{ viewer { id } }';
const never = new Promise<never>(() => undefined);
const inbox = 'subscription { inboxEvents { kind } }';
const positions = `subscription ($roomId: ID!, $afterSeq: Int = 0) {
  roomEvents(roomId: $roomId, afterSeq: $afterSeq) { __typename seq }
}`;

describeWithNats('the load of one user', () => {
  const world = useWorld({ instances: 1 });
  let instance: Instance;
  let asker: TestClient;
  let other: TestClient;

  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    asker = await world.client(4);
    other = await world.client(5);
    await asker.direct(5);
    await other.direct(6);
  });

  const ask = (client: TestClient, query: string, signal?: AbortSignal): Promise<Answer> =>
    postOperation(instance, { query }, { authorization: `Bearer ${client.token}` }, signal);

  it('runs a few operations at a time, over HTTP and WebSocket together, and delays nobody else', async () => {
    const socket = await connect(asker);
    const unlock = await lock();
    const lists = [ask(asker, roomList), socket.ask({ query: roomList }, 'a')];
    await waitFor(async () => (await countStopped()) === 2, { what: 'two lists at the lock' });
    lists.push(ask(asker, roomList), socket.ask({ query: roomList }, 'b'));
    await waitFor(async () => (await countStopped()) === atOnce, { what: 'all that may go at once' });
    const answered: string[] = [];
    const waiting = [
      ...Array.from({ length: 20 }, () => ask(asker, roomList)),
      ask(asker, viewer).finally(() => answered.push('HTTP')),
      socket.ask({ query: viewer }, 'c').finally(() => answered.push('WebSocket')),
    ];

    for (let round = 0; round < 10; round += 1) {
      expect((await ask(other, viewer)).data).toEqual({ viewer: { id: '5' } });
      expect(await countStopped(), 'connections that the waiting ones hold').toBe(atOnce);
    }
    expect(answered).toEqual([]);

    await unlock();
    for (const { errors } of await Promise.all([...lists, ...waiting])) expect(errors).toBeUndefined();
  });

  it('counts each field of an operation separately', async () => {
    const unlock = await lock();
    const three = '{ a: rooms { edges { cursor } } b: rooms { edges { cursor } } c: rooms { edges { cursor } } }';
    const lists = Array.from({ length: 8 }, () => ask(asker, three));
    await waitFor(async () => (await countStopped()) === 9, { what: 'three operations at the lock' });

    // A fourth operation would take the last connections for reading.
    expect((await ask(other, viewer)).data).toEqual({ viewer: { id: '5' } });
    expect(await countStopped()).toBe(9);

    await unlock();
    for (const { errors } of await Promise.all(lists)) expect(errors).toBeUndefined();
  });

  it('is refused with a retry delay if too much is waiting already', async () => {
    const socket = await connect(asker);
    const unlock = await lock();
    const refused: unknown[] = [];
    const lists = Array.from({ length: atOnce + maxWaiting + 20 }, async () => {
      const { errors } = await ask(asker, roomList);
      if (errors !== undefined) refused.push(errors[0]?.extensions);
    });
    await waitFor(() => refused.length === 20, { what: 'refusals' });
    for (const extensions of refused) {
      expect(extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    }
    expect((await socket.ask({ query: viewer })).errors?.[0]?.extensions.code).toBe('RATE_LIMITED');
    expect((await ask(other, viewer)).errors).toBeUndefined();

    await unlock();
    await Promise.all(lists);
    expect(refused).toHaveLength(20);
    expect((await ask(asker, viewer)).errors).toBeUndefined();
  });

  it('waits no longer than its client does', async () => {
    const unlock = await lock();
    const leaving = new AbortController();
    const half = maxWaiting / 2;
    const lists = Array.from({ length: atOnce + half }, () => ask(asker, roomList, leaving.signal));
    const aborted = Promise.allSettled(lists);
    await waitFor(async () => (await countStopped()) === atOnce, { what: 'all that may go at once' });
    const sockets = await Promise.all(Array.from({ length: half / 2 }, () => connect(asker)));
    for (const socket of sockets) for (const id of ['a', 'b']) socket.subscribe(id, { query: roomList });
    await waitFor(() => isRefused(asker), { what: 'as many waiting as may' });

    leaving.abort();
    await aborted;
    for (const [index, socket] of sockets.entries()) {
      if (index % 2 === 0) socket.ws.terminate();
      else for (const id of ['a', 'b']) socket.send({ type: 'complete', id });
    }
    // As many new requests find a place: the requests that left have freed theirs.
    await waitFor(async () => !(await isRefused(asker)), { what: 'a place' });
    const again = Array.from({ length: maxWaiting - atOnce }, () => ask(asker, viewer));
    await unlock();
    for (const { errors } of await Promise.all(again)) expect(errors).toBeUndefined();
  });

  it('does not deadlock if changes need several rooms', async () => {
    const roomIds = await Promise.all([asker.group(5), asker.group(5)]);
    // Each operation needs two rooms; those of one socket take them in opposite orders.
    const sockets = await Promise.all(Array.from({ length: 4 }, () => connect(asker)));
    const operations = sockets.flatMap((socket, index) =>
      Array.from({ length: 10 }, (_, number) => {
        const [first, second] = number % 2 === 0 ? ['a', 'b'] : ['b', 'a'];
        const query = `mutation ($a: ID!, $b: ID!) {
          x: renameRoom(input: { roomId: $${first}, name: "${index}.${number}" }) { room { id name } }
          y: renameRoom(input: { roomId: $${second}, name: "${index}.${number}" }) { room { id name } }
        }`;
        return socket.ask({ query, variables: { a: roomIds[0], b: roomIds[1] } }, `${number}`);
      }),
    );
    for (const { errors, data } of await Promise.all(operations)) {
      expect(errors).toBeUndefined();
      expect(data).toMatchObject({ x: { room: {} }, y: { room: {} } });
    }
  });

  it('waits after large queries, and the requests of others do not', async () => {
    const strict = await world.start({ COMPLEXITY_PER_MINUTE: '60000' });
    const headers = { authorization: `Bearer ${asker.token}` };
    const others = { authorization: `Bearer ${other.token}` };
    const large = '{ rooms(first: 100) { edges { node { id title type createdAt updatedAt } } } }';
    const roomId = await asker.group(5);
    const rename = `mutation {
      renameRoom(input: { roomId: "${roomId}", name: "new" }) { room { id messages(last: 20) { edges { node { id content } } } } }
    }`;
    for (const query of [large, rename]) {
      const startedAt = performance.now();
      for (let time = 0; time < 6; time += 1) {
        const { errors } = await postOperation(strict, { query }, headers);
        expect(errors).toBeUndefined();
      }
      // 1,000 a second after as many at once.
      expect(performance.now() - startedAt, query).toBeGreaterThan(1_000);
    }
    const send = `mutation { sendMessage(input: { roomId: "${roomId}", content: "at once" }) { message { id } } }`;
    const startedAt = performance.now();
    expect((await postOperation(strict, { query: viewer }, others)).errors).toBeUndefined();
    for (let time = 0; time < 5; time += 1) {
      expect((await postOperation(strict, { query: send }, headers)).errors).toBeUndefined();
    }
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it('starts a limited number of subscriptions a minute, over sockets and streams together, without limiting others', async () => {
    const strict = await world.start({ SUBSCRIPTIONS_PER_MINUTE: '4' });
    const socket = await connect(asker, strict);
    const headers = { authorization: `Bearer ${asker.token}`, accept: 'text/event-stream' };
    for (const id of ['a', 'b', 'c']) {
      socket.subscribe(id, { query: inbox });
      await socket.until((message) => message.id === id, 'the first event');
      socket.send({ type: 'complete', id });
    }
    const leaving = new AbortController();
    const stream = await fetch(`${strict.url}/graphql`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ query: inbox }),
      signal: leaving.signal,
    });
    expect(stream.status).toBe(200);
    leaving.abort();

    const [refused] = (await socket.ask({ query: inbox })).errors ?? [];
    expect(refused?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    expect(refused?.extensions['retryAfterMs']).toBeLessThanOrEqual(60_000);
    expect((await postOperation(strict, { query: inbox }, headers)).text).toContain('RATE_LIMITED');
    const others = await connect(other, strict);
    others.subscribe('a', { query: inbox });
    expect(await others.until(({ id }) => id === 'a', 'the first event')).toMatchObject({ type: 'next' });
    expect((await socket.ask({ query: viewer })).errors).toBeUndefined();
  });

  it('replays one subscription at a time, without delaying the replays of others', async () => {
    const roomId = await asker.group(5);
    const [socket, others] = await Promise.all([connect(asker), connect(other)]);
    const ids = Array.from({ length: 20 }, (_, index) => `${index}`);
    for (const id of ids) await asker.send(roomId, id);
    // From different positions: replays of the same range share one page.
    const follow = (afterSeq: number) => ({ query: positions, variables: { roomId, afterSeq } });
    const countPages = () => countStopped('%p.position%');
    const unlock = await lock('chat_messages');
    for (const [place, id] of ids.entries()) socket.subscribe(id, follow(place));
    await waitFor(async () => (await countPages()) === 1, { what: 'a page at the lock' });
    others.subscribe('a', follow(ids.length));
    await waitFor(async () => (await countPages()) === 2, { what: "the other's page at the lock" });

    await unlock();
    const isReady = ({ payload }: ServerMessage) => JSON.stringify(payload)?.includes('RoomReady') ?? false;
    await others.until((message) => message.id === 'a' && isReady(message), 'RoomReady');
    for (const id of ids) await socket.until((message) => message.id === id && isReady(message), 'RoomReady');
  });

  it('waits for its replays after many of them, and stays live meanwhile', async () => {
    const strict = await world.start({ REPLAYED_PER_MINUTE: '600' });
    const roomId = await asker.group(5);
    await Promise.all(Array.from({ length: 40 }, (_, index) => asker.send(roomId, `${index}`)));
    const socket = await connect(asker, strict);
    const isLive = (id: string) => (message: ServerMessage) =>
      message.id === id && (JSON.stringify(message.payload) ?? '').includes('RoomReady');
    socket.subscribe('live', { query: positions, variables: { roomId, afterSeq: null } });
    await socket.until(isLive('live'), 'RoomReady');

    const startedAt = performance.now();
    for (const id of ['first', 'second'])
      socket.subscribe(id, { query: positions, variables: { roomId, afterSeq: 0 } });
    await socket.until(isLive('first'), 'the first replay');
    const { message } = await asker.send(roomId, 'live');
    await socket.until(
      ({ id, payload }) => id === 'live' && JSON.stringify(payload).includes(`"seq":${message.seq}`),
      'the live message',
    );
    expect(socket.messages.some(isLive('second'))).toBe(false);
    await socket.until(isLive('second'), 'the second replay');
    // 20 at once and 10 a second: 41 are more than both have.
    expect(performance.now() - startedAt).toBeGreaterThan(1_500);
  });

  it('is read at the allowed rate, in order, and nothing is lost or refused', async () => {
    const strict = await world.start({ OPERATIONS_PER_MINUTE: '3000' });
    const [socket, others] = await Promise.all([connect(asker, strict), connect(other, strict)]);
    const ids = Array.from({ length: 60 }, (_, index) => `${index}`);
    const startedAt = performance.now();
    for (const id of ids) socket.subscribe(id, { query: '{ limits { maxPageSize } }' });
    socket.send({ type: 'ping' });
    expect((await others.ask({ query: viewer })).errors).toBeUndefined();
    await socket.until(({ type }) => type === 'pong', 'the answer to what came last');
    // 50 a second.
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    await socket.until(({ id, type }) => id === ids.at(-1) && type === 'complete', 'the last answer');
    const answered = socket.messages.filter(({ type }) => type === 'next');
    expect(answered.map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(answered.every(({ payload }) => !JSON.stringify(payload).includes('errors'))).toBe(true);
    expect(socket.closed).toBeUndefined();
  });

  it('is read later after a large frame, on each socket, but a long chat message is not large', async () => {
    const strict = await world.start({ OPERATIONS_PER_MINUTE: '6000' });
    const [first, second, others] = await Promise.all([
      connect(asker, strict),
      connect(asker, strict),
      connect(other, strict),
    ]);
    const roomId = await asker.group(5);
    const send = `mutation ($roomId: ID!, $content: String!) {
      sendMessage(input: { roomId: $roomId, content: $content }) { duplicate }
    }`;
    const startedAt = performance.now();
    for (let number = 0; number < 10; number += 1) {
      const { errors } = await first.ask(
        { query: send, variables: { roomId, content: '😀'.repeat(4_000) } },
        `${number}`,
      );
      expect(errors).toBeUndefined();
    }
    expect(performance.now() - startedAt, 'long texts').toBeLessThan(2_000);

    const large = { query: viewer, variables: { junk: 'x'.repeat(100_000) } };
    await first.ask(large, 'large');
    const waitingSince = performance.now();
    const answers = [second.ask(large, 'large'), first.ask({ query: viewer }, 'small')];
    expect((await others.ask({ query: viewer })).errors).toBeUndefined();
    expect(performance.now() - waitingSince).toBeLessThan(1_000);
    for (const { errors } of await Promise.all(answers)) expect(errors).toBeUndefined();
    // 300 operations, of 100 a second.
    expect(performance.now() - waitingSince).toBeGreaterThan(2_000);
  });

  it('is refused over HTTP before it is parsed if it would wait too long', async () => {
    const strict = await world.start({ OPERATIONS_PER_MINUTE: '6000' });
    const headers = { authorization: `Bearer ${asker.token}` };
    const others = { authorization: `Bearer ${other.token}` };
    const asked = Array.from({ length: 300 }, (_, number) =>
      postOperation(strict, { query: `{ limits { maxPageSize } } # ${number}` }, headers),
    );
    const refused = await Promise.race(
      asked.map(async (answer) => ((await answer).errors === undefined ? never : answer)),
    );
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(refused.errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    expect((await postOperation(strict, { query: viewer }, others)).errors).toBeUndefined();
    const answers = await Promise.all(asked);
    expect(answers.some(({ errors }) => errors === undefined)).toBe(true);
    await waitFor(async () => (await postOperation(strict, { query: viewer }, headers)).errors === undefined, {
      what: 'an answer to a later one',
    });
  });

  const isRefused = async (client: TestClient): Promise<boolean> => {
    const leaving = new AbortController();
    const refused = ask(client, viewer, leaving.signal).then(
      ({ errors }) => errors?.[0]?.extensions.code === 'RATE_LIMITED',
      () => false,
    );
    setTimeout(() => leaving.abort(), 1_000);
    return refused;
  };

  async function connect(client: TestClient, at = instance): Promise<RawSocket> {
    const socket = await RawSocket.connect(at, client.token);
    onTestFinished(() => socket.ws.terminate());
    return socket;
  }

  /** Resolves with a function that unlocks; reads of the table wait until it is called. */
  async function lock(table = 'chat_rooms'): Promise<() => Promise<void>> {
    const connection = new pg.Client({ connectionString: world.database.url });
    await connection.connect();
    await connection.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    let isOpen = true;
    const unlock = async () => {
      if (isOpen) await connection.end();
      isOpen = false;
    };
    onTestFinished(unlock);
    return unlock;
  }

  /** The number of statements that wait at the lock; room lists by default. */
  async function countStopped(like = '%chat_room_members m JOIN chat_rooms r%'): Promise<number> {
    const [row] = await world.database.query<{ count: number }>(`
      SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE '${like}'`);
    return row?.count ?? 0;
  }
});
