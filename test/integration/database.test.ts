import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { queryObjects } from 'node:v8';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Connection } from '../../src/db/connection.js';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { Prisma } from '../../src/db/generated/prisma/client.js';
import { findMessage } from '../../src/db/messages.js';
import { appendMessage, createRoom } from '../../src/db/room-log.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { collectGarbage } from '../support/garbage.js';
import { startTcpProxy } from '../support/tcp-proxy.js';

/** A protocol message of PostgreSQL; a real server sends these together only at an unlucky moment. */
const say = (type: string, body: string): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, Buffer.from(body, 'latin1')]);
};
const authenticated = say('R', '\0\0\0\0');
const ready = say('Z', 'I');
const ended = say('E', 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0');

describe('connectDatabase', () => {
  it('reports no error if the server cuts off a connection after its close', async () => {
    const database = await createDatabase();
    const told: unknown[] = [];
    const db = connectDatabase({ url: database.url, onError: (error) => told.push(error) });
    const [{ pid } = { pid: 0 }] = await db.writes.query<{ pid: number }>`SELECT pg_backend_pid() AS pid`;
    expect(pid).toBeGreaterThan(0);

    // The stopped backend does not see the end of the connection before the order to terminate.
    process.kill(pid, 'SIGSTOP');
    await db.close();
    await database.query('SELECT pg_terminate_backend($1)', [pid]);
    process.kill(pid, 'SIGCONT');
    await database.drop();

    expect(told).toEqual([]);
  });

  it('refuses only the query if the server ends a connection at the moment at which it is ready', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined).once('data', () => socket.end(Buffer.concat([authenticated, ready, ended])));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const db = connectDatabase({ url: `postgresql://somebody:secret@127.0.0.1:${port}/any` });

    await expect(db.reads.query`SELECT 1`).rejects.toMatchObject({ code: 'UNAVAILABLE' });

    await db.close();
    server.close();
  });

  it('fails the running queries with UNAVAILABLE if the server does not answer while the instance is ending', async () => {
    const database = await createDatabase();
    const db = connectDatabase({ url: database.url });
    onTestFinished(async () => {
      await db.close();
      await database.drop();
    });
    const [{ pid } = { pid: 0 }] = await db.reads.query<{ pid: number }>`SELECT pg_backend_pid() AS pid`;
    process.kill(pid, 'SIGSTOP');
    onTestFinished(() => void process.kill(pid, 'SIGCONT'));
    const answer = db.reads.query`SELECT 1`;
    db.hurry();
    await expect(answer).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('lets the server close connections of a host that is gone within a minute, and roll back its transaction sooner', async () => {
    const database = await createDatabase();
    const db = connectDatabase({ url: database.url });
    onTestFinished(async () => {
      await db.close();
      await database.drop();
    });
    // The server returns what is set on the connection's socket.
    const [limits] = await db.writes.query<Record<string, number>>`
      SELECT current_setting('tcp_keepalives_idle')::int AS idle,
        current_setting('tcp_keepalives_interval')::int * current_setting('tcp_keepalives_count')::int AS probing,
        (SELECT setting::int / 1000 FROM pg_settings WHERE name = 'tcp_user_timeout') AS unacknowledged,
        (SELECT setting::int / 1000 FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout') AS transaction`;
    const { idle = 0, probing = 0, unacknowledged = 0, transaction = 0 } = limits ?? {};
    for (const seconds of [idle + probing, unacknowledged]) {
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThanOrEqual(60);
    }
    expect(transaction).toBeGreaterThan(0);
    expect(transaction).toBeLessThanOrEqual(10);
  });

  it('keeps no reference to rows that it has returned', async () => {
    const database = await createDatabase();
    const db = connectDatabase({ url: database.url });
    const ask = async () => new WeakRef((await db.reads.query<object>`SELECT 1 AS one`)[0] ?? {});

    const answers = [await ask(), await ask()];
    await ask();

    await expect.poll(() => collectGarbage(answers)).toEqual([undefined, undefined]);
    await db.close();
    await database.drop();
  });

  it('keeps nothing of connections that were closed', async () => {
    const database = await createDatabase();
    const db = connectDatabase({ url: database.url, readPoolSize: 1 });
    onTestFinished(async () => {
      await db.close();
      await database.drop();
    });
    const failure = new Error('not to be committed');
    const before = Number(queryObjects(pg.Client));
    for (let count = 0; count < 10; count += 1) {
      await expect(db.reads.transaction(() => Promise.reject(failure))).rejects.toBe(failure);
    }
    // The last one is perhaps still closing.
    await expect.poll(() => Number(queryObjects(pg.Client)) - before, { timeout: 20_000 }).toBeLessThan(2);
  });

  it('reads little more than 128 KB of a result in one turn of the event loop, however much has arrived', async () => {
    const connecting = vi.spyOn(Socket.prototype, 'connect');
    onTestFinished(() => connecting.mockRestore());
    const { db } = await connect();
    await db.reads.query`SELECT 1`;
    const sockets = connecting.mock.contexts as Socket[];
    const bytesRead = () => sockets.reduce((sum, socket) => sum + socket.bytesRead, 0);

    const perTurn: number[] = [];
    let before = bytesRead();
    const endTurn = () => {
      perTurn.push(bytesRead() - before);
      before = bytesRead();
      // So long that the server fills all buffers of the system.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      turn = setImmediate(endTurn);
    };
    let turn = setImmediate(endTurn);
    const rows = await db.reads.query`SELECT repeat('x', 1000) AS text FROM generate_series(1, 4000)`;
    clearImmediate(turn);

    expect(rows).toHaveLength(4_000);
    expect(perTurn.reduce((sum, bytes) => sum + bytes, bytesRead() - before)).toBeGreaterThan(4_000_000);
    // One more piece, of up to 64 KB, may be read before the pause takes effect.
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(131_072 + 65_536);
  });

  it('keeps no more than a few hundred statements prepared, and always the newest', async () => {
    const database = await createDatabase();
    const db = connectDatabase({ url: database.url, readPoolSize: 1 });
    onTestFinished(async () => {
      await db.close();
      await database.drop();
    });

    for (let n = 0; n < 1_000; n += 1) {
      const rows = await db.reads.query`SELECT ${n}::int AS n ${Prisma.raw(`, ${n} AS other`)}`;
      expect(rows).toEqual([{ n, other: n }]);
    }

    const prepared = await db.reads.query<{ statement: string }>`SELECT statement FROM pg_prepared_statements`;
    expect(prepared.length).toBeLessThanOrEqual(301);
    // Later statements are prepared, too.
    expect(prepared.some(({ statement }) => statement.includes('999 AS other'))).toBe(true);
  });

  it.each([
    ['off', 'on'],
    ['local', 'local'],
    ['remote_apply', 'remote_apply'],
  ])('has commits on disk before they are answered, even if the default of the database is %s', async (given, had) => {
    const { database, db } = await connect();
    await database.query(`ALTER DATABASE ${nameOf(database)} SET synchronous_commit = '${given}'`);

    const ask = async (connection: Connection) => {
      const [row] = await connection.query<{ had: string }>`SELECT current_setting('synchronous_commit') AS had`;
      return row?.had;
    };

    expect(await Promise.all([ask(db.writes), ask(db.reads), db.replay(ask)])).toEqual([had, had, had]);
    const [row] = await db.writes.prisma.$queryRaw<
      { had: string }[]
    >`SELECT current_setting('synchronous_commit') AS had`;
    expect(row?.had).toBe(had);
  });

  it.each([
    ['DateStyle', 'German'],
    ['DateStyle', 'SQL, DMY'],
    ['IntervalStyle', 'iso_8601'],
    ['bytea_output', 'escape'],
    ['extra_float_digits', '-10'],
    ['default_transaction_isolation', 'serializable'],
  ])('reads and writes the same if the database sets %s to %s by default', async (name, value) => {
    const { database, db } = await connect();
    await database.query(`ALTER DATABASE ${nameOf(database)} SET ${name} = '${value}'`);
    const roomId = randomUUID();
    await createRoom(db, {
      id: roomId,
      type: 'GROUP',
      name: null,
      directKey: null,
      creatorId: 4,
      memberIds: [4],
      messageId: randomUUID(),
    });

    const message = { id: randomUUID(), roomId, senderId: 4, type: 'TEXT', content: '안녕' } as const;
    const before = db.now();
    const sent = await Promise.all([1, 2, 3].map(() => appendMessage(db, { ...message, id: randomUUID() })));

    for (const written of sent) {
      const createdAt = written.message?.createdAt.getTime() ?? Number.NaN;
      expect(Math.abs(createdAt - before)).toBeLessThan(60_000);
      const found = await findMessage(db, written.message?.id ?? '', 4);
      expect(found?.createdAt).toEqual(written.message?.createdAt);
    }
    const [row] = await db.reads.query<Record<string, unknown>>`
      SELECT 'x'::bytea AS bytes, 1.23456789012345::float8 AS number,
        date_part('epoch', '2026-11-29 12:34:56.789Z'::timestamptz) AS seconds,
        current_setting('transaction_isolation') AS isolation, current_setting('jit') AS jit`;
    expect(row).toEqual({
      bytes: Buffer.from('x'),
      number: 1.23456789012345,
      seconds: 1_795_955_696.789,
      isolation: 'read committed',
      jit: 'off',
    });
  });

  describe('with an error', () => {
    let database: TestDatabase;
    let db: Database;
    beforeAll(async () => {
      database = await createDatabase();
      db = connectDatabase({ url: database.url });
    });
    afterAll(async () => {
      await db.close();
      await database.drop();
    });

    it.each([
      ['25006', 'cannot execute INSERT in a read-only transaction'],
      ['57P01', 'terminating connection due to administrator command'],
      ['08006', 'the connection failed'],
      ['53100', 'could not extend file "base/16384/16397": No space left on device'],
      ['53200', 'out of memory'],
      ['53300', 'sorry, too many clients already'],
      ['58030', 'could not read block 0 in file "base/16384/16397": Input/output error'],
      ['58P01', 'could not access file "$libdir/plpgsql": No such file or directory'],
      ['XX000', 'could not load library "/usr/lib/postgresql/15/lib/plpgsql.so": cannot open shared object file'],
      ['0A000', 'cached plan must not change result type'],
      ['40001', 'could not serialize access due to concurrent update'],
    ])('treats %s (%s) as a database that is out of order, not as a bug', async (state, message) => {
      const raise = Prisma.raw(
        `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${state}', MESSAGE = '${message}'; END $$`,
      );

      await expect(db.writes.query`${raise}`).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      await expect(db.writes.prisma.$executeRaw`${raise}`).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });

    it.each([
      ['23505', 'duplicate key value violates unique constraint'],
      ['XX000', 'cache lookup failed for type 16397'],
      ['42501', 'permission denied for table chat_rooms'],
    ])('treats %s (%s) as a bug', async (state, message) => {
      const raise = Prisma.raw(
        `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${state}', MESSAGE = '${message}'; END $$`,
      );

      await expect(db.writes.query`${raise}`).rejects.toMatchObject({ code: state });
    });
  });

  it('treats every failure to connect as a database that is out of order', async () => {
    const { database } = await connect();
    const url = new URL(database.url);
    url.password = 'of-yesterday';
    const db = connectDatabase({ url: url.href });
    onTestFinished(() => db.close());

    await expect(db.reads.query`SELECT 1`).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('replaces all connections once one of them turns out to lead to a read-only server', async () => {
    const { database, db } = await connect();
    await database.query(`ALTER DATABASE ${nameOf(database)} SET default_transaction_read_only = on`);
    const pidOf = async (connection: Connection) =>
      (await connection.query<{ pid: number }>`SELECT pg_backend_pid() AS pid`)[0]?.pid;
    const before = [await pidOf(db.writes), await pidOf(db.reads), await db.replay(pidOf)];
    await database.query(
      `BEGIN READ WRITE; ALTER DATABASE ${nameOf(database)} RESET default_transaction_read_only; COMMIT`,
    );

    await expect(db.writes.query`CREATE TABLE t ()`).rejects.toMatchObject({ code: 'UNAVAILABLE' });

    await db.writes.query`CREATE TABLE t ()`;
    const after = [await pidOf(db.writes), await pidOf(db.reads), await db.replay(pidOf)];
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  });

  it('keeps a connection on which only a statement failed', async () => {
    const { db } = await connect();
    const pidOf = async () => (await db.writes.query<{ pid: number }>`SELECT pg_backend_pid() AS pid`)[0]?.pid;
    const before = await pidOf();

    for (const divisor of [0, 0]) {
      await expect(db.writes.query`SELECT 1 / ${divisor}::int`).rejects.toMatchObject({ code: '22012' });
    }

    expect(await pidOf()).toBe(before);
  });

  it('opens two connections of each pool before the first user needs them', async () => {
    const database = await createDatabase();
    const db = connectDatabase({ url: database.url });
    onTestFinished(async () => {
      await db.close();
      await database.drop();
    });
    await db.warmUp();
    const [open] = await database.query(
      `SELECT count(*)::int AS count FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'fairway'`,
    );
    expect(open).toEqual({ count: 10 });
  });

  it('uses a free connection instead of one that cannot be opened in time', async () => {
    const database = await createDatabase();
    const proxy = await startTcpProxy(database.url);
    const silent = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const db = connectDatabase({ url: proxy.url });
    onTestFinished(async () => {
      await db.close();
      await proxy.stop();
      silent.close();
      await database.drop();
    });
    await db.reads.query`SELECT 1`;
    proxy.redirect(`postgresql://127.0.0.1:${(silent.address() as AddressInfo).port}`);

    const slow = db.reads.query`SELECT pg_sleep(1)`;
    await expect(db.reads.query`SELECT 2 AS two`).resolves.toEqual([{ two: 2 }]);
    await slow;
  });

  it('waits no longer than 5 s for a server that accepts connections but sends nothing', async () => {
    const silent = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const db = connectDatabase({ url: `postgresql://somebody:secret@127.0.0.1:${port}/any` });
    const startedAt = performance.now();

    await expect(db.writes.query`SELECT 1`).rejects.toMatchObject({ code: 'UNAVAILABLE' });

    expect(performance.now() - startedAt).toBeLessThan(30_000);
    await db.close();
    silent.close();
  });
});

/** A separate database, with connections that end with the test. */
async function connect() {
  const database = await createDatabase();
  const db = connectDatabase({ url: database.url });
  onTestFinished(async () => {
    await db.close();
    await database.drop();
  });
  return { database, db };
}

const nameOf = ({ url }: TestDatabase): string => new URL(url).pathname.slice(1);
