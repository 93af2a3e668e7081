import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectDatabase } from '../../src/db/database.js';
import { Prisma } from '../../src/db/generated/prisma/client.js';
import { createDatabase } from '../support/database.js';
import { collectGarbage } from '../support/garbage.js';

/** What PostgreSQL says, which the real one says in one breath only when it is asked to at the very moment. */
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
  it('tells of no connection that the server cuts off behind its close', async () => {
    const database = await createDatabase({ migrated: false });
    const told: unknown[] = [];
    const db = connectDatabase({ url: database.url, onError: (error) => told.push(error) });
    const [{ pid } = { pid: 0 }] = await db.writes.query<{ pid: number }>`SELECT pg_backend_pid() AS pid`;
    expect(pid).toBeGreaterThan(0);

    // The server's end of the connection gets the farewell no sooner than the order to die.
    process.kill(pid, 'SIGSTOP');
    await db.close();
    await database.query('SELECT pg_terminate_backend($1)', [pid]);
    process.kill(pid, 'SIGCONT');
    await database.drop();

    expect(told).toEqual([]);
  });

  it('refuses the query alone where the server ends a connection in the moment in which it is ready', async () => {
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

  it('keeps nothing of what it has answered', async () => {
    const database = await createDatabase({ migrated: false });
    const db = connectDatabase({ url: database.url });
    const ask = async () => new WeakRef((await db.reads.query<object>`SELECT 1 AS one`)[0] ?? {});

    const answers = [await ask(), await ask()];
    await ask();

    await expect.poll(() => collectGarbage(answers)).toEqual([undefined, undefined]);
    await db.close();
    await database.drop();
  });

  it('keeps no more than a few hundred statements prepared, and always the newest', async () => {
    const database = await createDatabase({ migrated: false });
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
    // Who comes later is no worse off.
    expect(prepared.some(({ statement }) => statement.includes('999 AS other'))).toBe(true);
  });
});
