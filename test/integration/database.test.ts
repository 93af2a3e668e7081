import { describe, expect, it } from 'vitest';
import { connectDatabase } from '../../src/db/database.js';
import { createDatabase } from '../support/database.js';
import { collectGarbage } from '../support/garbage.js';

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
});
