import { readFile } from 'node:fs/promises';
import { connectDatabase } from '../db/database.js';
import { writeRooms } from '../db/write-rooms.js';
import { defaultLanguage, type Language } from '../domain/notice.js';
import { createHistories, type Demo } from './demo-history.js';

/** The relative path is the same from src/dev and from dist/dev. */
const demoFile = new URL('../../prisma/demo.json', import.meta.url);

/**
 * Writes the demo, four people and their rooms of the last days, into a migrated database. Several processes may call it at
 * the same time, and again later: if the demo's group exists, nothing is changed. A room is skipped if its pair of users
 * or its booking has one already.
 * @returns whether something was written
 */
export async function seedDemo(
  databaseUrl: string,
  { now = new Date(), language = defaultLanguage }: { readonly now?: Date; readonly language?: Language } = {},
): Promise<boolean> {
  const demo = JSON.parse(await readFile(demoFile, 'utf8')) as Demo;
  const histories = createHistories(demo, now, language);
  const db = connectDatabase({ url: databaseUrl });
  try {
    return await writeRooms(db, demo.users, histories);
  } finally {
    await db.close();
  }
}
