import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { searchUsers } from '../../src/db/users.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const people: Readonly<Record<number, string>> = {
  1: 'Élodie Иванова',
  2: '김철수',
  3: '박김희',
  4: '한가람'.normalize('NFD'),
  5: 'Ｙａｍａｄａ ｶﾅ',
  6: 'Straße',
  7: 'ΟΔΟΣ',
  8: '100% _sure\\',
  9: 'elodie',
  10: 'İpek',
  11: '😀 웃음',
};

describe('searchUsers', () => {
  let database: TestDatabase;
  let db: Database;
  beforeAll(async () => {
    database = await createDatabase();
    for (const [id, name] of Object.entries(people)) {
      await database.query('INSERT INTO chat_users (id, name) VALUES ($1, $2)', [id, name]);
    }
    db = connectDatabase({ url: database.url });
  });
  afterAll(async () => {
    await db?.close();
    await database?.drop();
  });

  const search = async (text: string, count = 20) => (await searchUsers(db, text, count)).map(({ id }) => id);

  it.each<[string, string, number[]]>([
    ['a large letter with an accent by the small one', 'élodie', [1]],
    ['a decomposed text', 'ÉLODIE'.normalize('NFD'), [1]],
    ['Cyrillic in any case', 'иВАНОВА', [1]],
    ['the beginning before the inside', '김', [2, 3]],
    ['the last syllable', '수', [2]],
    ['a decomposed name by a composed text', '한가', [4]],
    ['a decomposed text of two syllables', '가람'.normalize('NFD'), [4]],
    ['full width by half', 'yamada', [5]],
    ['half width by full', 'カナ', [5]],
    ['ß by ss', 'STRASSE', [6]],
    ['either sigma', 'οδοσ', [7]],
    ['the other sigma', 'οδος', [7]],
    ['a dotted I by an i', 'ipek', [10]],
    ['the wildcards of SQL as characters', '0% _s', [8]],
    ['a backslash', '\\', [8]],
    ['an emoji', '😀', [11]],
    ['a space inside', '😀 웃', [11]],
    ['the percent sign as a character', '%', [8]],
    ['nobody at all', 'x'.repeat(100), []],
  ])('finds %s', async (_what, text, ids) => {
    expect(await search(text)).toEqual(ids);
  });

  it('returns at most the requested number of users', async () => {
    expect(await search('김', 1)).toEqual([2]);
    expect(await search('e', 2)).toHaveLength(2);
  });

  it('folds every letter to its small one, whatever the locale of the database', async () => {
    const letters = Array.from({ length: 0x11_0000 }, (_, point) => point)
      .filter((point) => point > 0 && (point < 0xd800 || point > 0xdfff))
      .map((point) => String.fromCodePoint(point))
      .filter((letter) => letter.toLowerCase() !== letter && [...letter.toLowerCase()].length === 1);
    expect(letters.length).toBeGreaterThan(1_400);

    const wrong = await database.query(
      `SELECT l.large, l.small FROM unnest($1::text[], $2::text[]) AS l(large, small)
       WHERE chat_fold(l.large) <> chat_fold(l.small)`,
      [letters, letters.map((letter) => letter.toLowerCase())],
    );

    expect(wrong).toEqual([]);
  });

  it('reads only indexes, however many users there are', async () => {
    await database.query(
      "INSERT INTO chat_users (id, name) SELECT n, 'User ' || n FROM generate_series(1001, 21000) n",
    );
    await database.query('VACUUM ANALYZE chat_users');
    const reader = new pg.Client({ connectionString: database.url });
    await reader.connect();
    onTestFinished(() => reader.end());
    const countRead = async () => {
      const { rows } = await reader.query(
        "SELECT seq_tup_read::int AS read FROM pg_stat_user_tables WHERE relname = 'chat_users'",
      );
      return (rows as { read: number }[])[0]?.read;
    };
    const lone = connectDatabase({ url: database.url, readPoolSize: 1 });
    onTestFinished(() => lone.close());
    const before = await countRead();

    for (const [text, least] of [
      ['USER 1', 50],
      ['ser 2099', 10],
      ['9', 50],
      ['김철', 1],
      ['없는 사람', 0],
    ] as const) {
      // Repeats until PostgreSQL keeps a plan.
      for (let times = 0; times < 7; times += 1) {
        expect((await searchUsers(lone, text, 50)).length).toBeGreaterThanOrEqual(least);
      }
    }

    await lone.reads.query`SELECT pg_stat_force_next_flush()::text`;
    await lone.reads.query`SELECT 1`;
    expect(await countRead()).toBe(before);
  });

  it('follows a change of the name at once', async () => {
    await database.query('UPDATE chat_users SET name = $1 WHERE id = 9', ['새 이름']);

    expect(await search('이름')).toEqual([9]);
    expect(await search('elodie')).toEqual([]);
  });
});
