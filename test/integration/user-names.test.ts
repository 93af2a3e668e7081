import { LRUCache } from 'lru-cache';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { findUsers, saveUser, updateUser } from '../../src/db/users.js';
import type { Deps } from '../../src/resolvers/deps.js';
import { createAuthenticate } from '../../src/server/graphql/context.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

describe('the names of users', () => {
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

  it("outrank the known token after a renaming, even if the database's clock was set back", async () => {
    const hourMs = 3_600_000;
    const [id, now] = [4, Date.now()];
    const token = { id, name: '옛이름', namedAt: new Date(now + hourMs) };
    const nameOf = async () => (await findUsers(db, [id]))[0]?.name;
    await saveUser(db, token);

    expect(await updateUser(db, { id, name: '새이름' })).toBe(true);
    expect(await saveUser(db, token), 'on another instance').toBe(false);
    expect(await nameOf()).toBe('새이름');

    await saveUser(db, { id, name: '더새이름', namedAt: new Date(now + hourMs + 1_000) });
    expect(await nameOf(), 'a token of a second later').toBe('더새이름');
  });

  it('are stored once if many requests of one user bring a new token at the same time', async () => {
    const viewer = {
      userId: 5,
      name: '새사람',
      avatarUrl: undefined,
      issuedAt: new Date(),
      expiresAt: new Date(Date.now() + 60_000),
    };
    const deps = { db, knownTokens: new LRUCache({ max: 10 }), names: { announce: () => undefined } };
    const authenticate = createAuthenticate(async () => viewer, deps as unknown as Deps);

    const viewers = await Promise.all(Array.from({ length: 1_000 }, () => authenticate('Bearer a.b.c')));

    expect(new Set(viewers)).toEqual(new Set([viewer]));
    expect((await findUsers(db, [5]))[0]?.name).toBe('새사람');
  });
});
