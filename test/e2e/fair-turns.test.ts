import pg from 'pg';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { type Answer, postOperation, RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const atOnce = 4;
const maxWaiting = 100;
const lockedTable = 'chat_rooms';
/** Stops at the lock. */
const roomList = '{ rooms { edges { node { id title } } } }';
/** Would not. */
const viewer = '{ viewer { id } }';

describeWithNats('what one user asks at the same time', () => {
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

  it('goes a few at a time, over HTTP and WebSocket together, and holds up nobody else', async () => {
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

  it('is refused with how long to wait where too much waits already', async () => {
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
    // As many again find a place: those that left have given it up.
    await waitFor(async () => !(await isRefused(asker)), { what: 'a place' });
    const again = Array.from({ length: maxWaiting - atOnce }, () => ask(asker, viewer));
    await unlock();
    for (const { errors } of await Promise.all(again)) expect(errors).toBeUndefined();
  });

  it('never waits for each other for ever where changes want several rooms', async () => {
    const roomIds = await Promise.all([asker.group(5), asker.group(5)]);
    // Each operation wants two rooms, those of a socket in opposite orders.
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

  it('waits where it was large before, and what others ask does not', async () => {
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

  const isRefused = async (client: TestClient): Promise<boolean> => {
    const leaving = new AbortController();
    const refused = ask(client, viewer, leaving.signal).then(
      ({ errors }) => errors?.[0]?.extensions.code === 'RATE_LIMITED',
      () => false,
    );
    setTimeout(() => leaving.abort(), 200);
    return refused;
  };

  async function connect(client: TestClient): Promise<RawSocket> {
    const socket = await RawSocket.connect(instance, client.token);
    onTestFinished(() => socket.ws.terminate());
    return socket;
  }

  /** Resolves with how to unlock; whoever reads rooms stops there until then. */
  async function lock(): Promise<() => Promise<void>> {
    const connection = new pg.Client({ connectionString: world.database.url });
    await connection.connect();
    await connection.query(`BEGIN; LOCK TABLE ${lockedTable} IN ACCESS EXCLUSIVE MODE`);
    let isOpen = true;
    const unlock = async () => {
      if (isOpen) await connection.end();
      isOpen = false;
    };
    onTestFinished(unlock);
    return unlock;
  }

  async function countStopped(): Promise<number> {
    const [row] = await world.database.query<{ count: number }>(`
      SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE '%chat_room_members m JOIN chat_rooms r%'`);
    return row?.count ?? 0;
  }
});
