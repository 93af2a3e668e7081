import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { draftMigration } from '../../src/db/draft-migration.js';
import { createDatabase } from '../support/database.js';

const prismaDir = resolve(import.meta.dirname, '../../prisma');

describe('draftMigration', () => {
  let ownDir: string;

  beforeEach(() => {
    ownDir = mkdtempSync(join(tmpdir(), 'fairway-prisma-'));
    cpSync(prismaDir, ownDir, { recursive: true });
  });
  afterEach(() => rmSync(ownDir, { recursive: true }));

  it('has nothing to write: the migrations lead to schema.prisma and to the files in prisma/functions', async () => {
    expect(await draft(), 'This is in no migration yet. Write it by: npm run migration -- <name>').toBe('');
  });

  it('replaces a function whose body has changed, and no other one', async () => {
    edit('chat_is_admin', (sql) => sql.replace('m.is_admin', 'm.is_admin AND m.is_confirmed'));

    const sql = await draft();

    expect(sql).toBe(read('chat_is_admin'));
    expect(await draftBehind(sql)).toBe('');
  });

  it('drops a function whose file is gone', async () => {
    rmSync(fileOf('chat_mark_read'));

    const sql = await draft();

    expect(sql).toBe('DROP FUNCTION chat_mark_read(uuid,integer,uuid);');
    expect(await draftBehind(sql)).toBe('');
  });

  it.each([
    ['takes another argument', (sql: string) => sql.replace('p_user integer)', 'p_user integer, p_strict boolean)')],
    ['renames an argument', (sql: string) => sql.replaceAll('p_user', 'p_member')],
    ['has another default', (sql: string) => sql.replace('p_user integer)', 'p_user integer DEFAULT 1)')],
    [
      'returns another type',
      (sql: string) => sql.replace('RETURNS boolean', 'RETURNS integer').replace('EXISTS (', '1 WHERE EXISTS ('),
    ],
  ])('replaces a function that %s', async (_what, change) => {
    edit('chat_is_admin', change);

    const sql = await draft();

    expect(sql).toBe(`DROP FUNCTION chat_is_admin(uuid,integer);\n${read('chat_is_admin')}`);
    expect(await draftBehind(sql)).toBe('');
  });

  it('creates new functions after those that they call, and after the tables that they use', async () => {
    appendFileSync(join(ownDir, 'schema.prisma'), '\nmodel Pin {\n  id Int @id\n\n  @@map("pins")\n}\n');
    write(
      'chat_a',
      'CREATE OR REPLACE FUNCTION chat_a() RETURNS SETOF pins LANGUAGE sql AS $$ SELECT * FROM chat_b() $$;',
    );
    write('chat_b', 'CREATE OR REPLACE FUNCTION chat_b() RETURNS SETOF pins LANGUAGE sql AS $$ SELECT * FROM pins $$;');

    const sql = await draft();

    expect(sql).toContain('CREATE TABLE "pins"');
    expect(sql.split('\n\n').slice(-2)).toEqual([read('chat_b'), read('chat_a')]);
    expect(await draftBehind(sql)).toBe('');
  });

  it('refuses to drop a function that another one calls', async () => {
    rmSync(fileOf('chat_knows'));
    await expect(draft()).rejects.toThrow(
      'chat_join_members.sql: function chat_knows(integer, integer) does not exist',
    );
  });

  it('refuses a file that is not one function of its name', async () => {
    edit('chat_is_admin', (sql) => sql.replace('chat_is_admin', 'chat_is_guest'));
    await expect(draft()).rejects.toThrow('chat_is_admin.sql must create chat_is_admin, once');
  });

  it('names the file that PostgreSQL refuses', async () => {
    edit('chat_is_admin', (sql) => sql.replace('chat_room_members', 'chat_room_guests'));
    await expect(draft()).rejects.toThrow('chat_is_admin.sql: relation "chat_room_guests" does not exist');
  });

  const fileOf = (name: string) => join(ownDir, 'functions', `${name}.sql`);
  const read = (name: string) => readFileSync(fileOf(name), 'utf8').trim();
  const write = (name: string, sql: string) => writeFileSync(fileOf(name), `${sql}\n`);
  const edit = (name: string, change: (sql: string) => string) => write(name, change(read(name)));

  async function draft(): Promise<string> {
    const scratch = await createDatabase({ migrated: false });
    try {
      return await draftMigration(scratch.url, ownDir);
    } finally {
      await scratch.drop();
    }
  }

  /** Drafts again with this as one more migration, which must apply. */
  function draftBehind(sql: string): Promise<string> {
    mkdirSync(join(ownDir, 'migrations/20990101000000_more'));
    writeFileSync(join(ownDir, 'migrations/20990101000000_more/migration.sql'), sql);
    return draft();
  }
});
