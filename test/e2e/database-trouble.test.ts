import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BookingSystem, bookingStream } from '../support/booking-stream.js';
import { ApiError, type TestClient } from '../support/client.js';
import type { TestDatabase } from '../support/database.js';
import type { Instance } from '../support/instance.js';
import { history } from '../support/operations.js';
import {
  mountSmallDisk,
  type SmallDisk,
  startOwnPostgres,
  startReplicatedPostgres,
  whyNoSmallDisk,
} from '../support/own-postgres.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const noDisk = whyNoSmallDisk();

describeWithNats('a read-only PostgreSQL', () => {
  const world = useWorld({ instances: 1, env: { BOOKING_EVENTS_STREAM: bookingStream }, database: startOwnPostgres });
  let bookings: BookingSystem;
  beforeAll(async () => {
    bookings = await BookingSystem.connect(world.nats);
    await bookings.createStream();
  });
  afterAll(() => bookings?.backend.close());

  it('makes changes UNAVAILABLE and the instance unready, gives up no event, and is used again at once', async () => {
    const [instance] = world.instances as [Instance];
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    const bookingId = randomInt(1, 2 ** 31);
    const findRoom = () =>
      world.database.query('SELECT FROM chat_rooms WHERE booking_id = $1 AND seq > 0', [bookingId]);

    await setReadOnly(world.database, true);
    await bookings.tell('created', bookingId, { bookingId, version: 1, members: [{ userId: 4, userName: '김철수' }] });
    await waitFor(async () => (await readiness(instance)).status === 503, { what: 'the instance not to be ready' });
    expect(await readiness(instance)).toMatchObject({ body: { status: 'unready', postgres: 'read-only' } });
    expect(await refusal(kim.send(roomId, 'to a server that only reads'))).toBe('UNAVAILABLE');
    expect(await refusal(kim.group(6))).toBe('UNAVAILABLE');
    expect(await kim.http(history, { id: roomId, last: 1 })).toMatchObject({ room: { messages: { edges: [{}] } } });
    // Five tries would be over after 4 s.
    await delay(6_000);
    await setReadOnly(world.database, false);

    await waitFor(async () => (await readiness(instance)).status === 200, { what: 'the instance to be ready' });
    expect(await kim.send(roomId, 'again')).toMatchObject({ duplicate: false });
    await waitFor(async () => (await findRoom()).length > 0, { what: 'the room of the booking' });
    expect((await bookings.manager.streams.info('CHAT_DEAD_LETTERS')).state.messages).toBe(0);
    expect(instance.output()).not.toContain('failed unexpectedly');
  });
});

describeWithNats('a failover', () => {
  let proxy: TcpProxy;
  let primary: TestDatabase;
  let standby: TestDatabase;
  const world = useWorld({
    instances: 1,
    database: async () => {
      ({ primary, standby } = await startReplicatedPostgres());
      proxy = await startTcpProxy(primary.url);
      return {
        url: proxy.url,
        query: (sql, values) => standby.query(sql, values),
        drop: async () => {
          await proxy.stop();
          await Promise.all([primary.drop(), standby.drop()]);
        },
      };
    },
  });

  it('is followed without a restart, even if the old server keeps running and answers reads', async () => {
    const [instance] = world.instances as [Instance];
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    // Open as many connections of each kind as the pools allow.
    await Promise.all(
      Array.from({ length: 30 }, (_, n) => Promise.all([kim.send(roomId, `${n}`), newest(kim, roomId)])),
    );
    const head = await waitFor(() => readHead(roomId, 31), { what: 'the standby to have everything' });
    expect(head).toBe(31);

    await standby.query('SELECT pg_promote()');
    await setReadOnly(primary, true);
    proxy.redirect(standby.url);
    const refusals: unknown[] = [];
    await waitFor(
      async () =>
        (await kim.send(roomId, 'to the new server').catch((error) => void refusals.push(error))) !== undefined,
      { what: 'the new server to be written to' },
    );
    expect(refusals.map((error) => (error as ApiError).code).filter((code) => code !== 'UNAVAILABLE')).toEqual([]);

    const reads = await Promise.all(Array.from({ length: 30 }, () => newest(kim, roomId)));
    expect(new Set(reads)).toEqual(new Set(['to the new server']));
    expect(await readHead(roomId, 32)).toBe(32);
    expect(instance.output()).not.toContain('failed unexpectedly');
  });

  async function readHead(roomId: string, atLeast: number): Promise<number | undefined> {
    const [row] = await standby.query<{ seq: number }>('SELECT seq FROM chat_rooms WHERE id = $1', [roomId]);
    return (row?.seq ?? 0) >= atLeast ? row?.seq : undefined;
  }

  const newest = async (client: TestClient, id: string): Promise<string | null | undefined> =>
    (await client.http(history, { id, last: 1 })).room?.messages.edges[0]?.node.content;
});

describeWithNats('a full disk of PostgreSQL', () => {
  let disk: SmallDisk;
  const world = useWorld({
    instances: noDisk === '' ? 1 : 0,
    database: async () => {
      if (noDisk !== '') return startOwnPostgres();
      disk = mountSmallDisk(160);
      const database = await startOwnPostgres(`${disk.folder}/server`);
      return {
        ...database,
        drop: async () => {
          await database.drop();
          disk.remove();
        },
      };
    },
  });

  it.skipIf(noDisk !== '')(
    `makes changes UNAVAILABLE and the instance unready until there is room ${noDisk && `[skipped: ${noDisk}]`}`.trim(),
    async () => {
      const [instance] = world.instances as [Instance];
      const kim = await world.client(4);
      const roomId = await kim.group(5);
      expect(await readiness(instance)).toMatchObject({ status: 200, body: { postgres: 'ok' } });

      // Also takes the space that the server frees meanwhile, such as logs after a checkpoint.
      const isFull = async () => {
        disk.fill();
        return (await readiness(instance)).status === 503;
      };
      await waitFor(isFull, { what: 'the instance not to be ready' });
      expect(await readiness(instance)).toMatchObject({ body: { status: 'unready', postgres: 'full' } });
      const code = await waitFor(() => refusal(kim.send(roomId, incompressible(4_000))), {
        what: 'a send to be refused',
      });
      expect(code).toBe('UNAVAILABLE');
      disk.empty();

      await waitFor(async () => (await readiness(instance)).status === 200, { what: 'the instance to be ready' });
      expect(await kim.send(roomId, incompressible(4_000))).toMatchObject({ duplicate: false });
      expect(instance.output()).not.toContain('failed unexpectedly');
    },
  );
});

async function setReadOnly(database: TestDatabase, isReadOnly: boolean): Promise<void> {
  await database.query(`ALTER SYSTEM SET default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`);
  await database.query('SELECT pg_reload_conf()');
  // The server reloads its settings a moment later, and so do all its connections.
  const isDone = async () => {
    const [row] = await database.query<{ value: string }>(
      `SELECT current_setting('default_transaction_read_only') AS value`,
    );
    return row?.value === (isReadOnly ? 'on' : 'off');
  };
  await waitFor(isDone, { what: 'the setting' });
}

async function readiness({ url }: Instance): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, body: await response.json() };
}

/** The code of the refusal, or undefined if the change was done. */
const refusal = (change: Promise<unknown>): Promise<string | undefined> =>
  change.then(
    () => undefined,
    (error: unknown) => (error instanceof ApiError ? error.code : String(error)),
  );

const incompressible = (length: number): string =>
  Array.from({ length }, () => String.fromCharCode(randomInt(0xac00, 0xd7a3))).join('');
