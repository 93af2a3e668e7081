import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { findUsers, renameUser, saveUser } from '../../src/db/users.js';
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

  it("outrank the known token once they are given by a renaming, also where the database's clock was set back", async () => {
    const hourMs = 3_600_000;
    const [id, now] = [4, Date.now()];
    const token = { id, name: '옛이름', namedAt: new Date(now + hourMs) };
    const nameOf = async () => (await findUsers(db, [id]))[0]?.name;
    await saveUser(db, token);

    expect(await renameUser(db, { id, name: '새이름' })).toBe(true);
    expect(await saveUser(db, token), 'on another instance').toBe(false);
    expect(await nameOf()).toBe('새이름');

    await saveUser(db, { id, name: '더새이름', namedAt: new Date(now + hourMs + 1_000) });
    expect(await nameOf(), 'a token of a second later').toBe('더새이름');
  });
});
