import { connectDatabase } from '../db/database.js';
import { writeRooms } from '../db/write-rooms.js';
import { defaultLanguage, type Language } from '../domain/notice.js';
import type { Storage } from '../files/storage.js';
import { createHistories } from './demo-history.js';
import { storePictures } from './demo-pictures.js';
import { readDemo } from './demo-users.js';

interface SeedOptions {
  readonly now?: Date;
  readonly language?: Language;
  /** For the demo's pictures. */
  readonly storage?: Storage | undefined;
}

/**
 * Writes the demo, four people and their rooms of the last days, into a migrated database. Several processes may call it at
 * the same time, and again later: if the demo's group exists, nothing is changed. A room is skipped if its pair of users
 * or its booking has one already.
 * @returns whether something was written
 */
export async function seedDemo(
  databaseUrl: string,
  { now = new Date(), language = defaultLanguage, storage }: SeedOptions = {},
): Promise<boolean> {
  const demo = readDemo();
  const histories = createHistories(demo, now, language);
  const db = connectDatabase({ url: databaseUrl });
  try {
    return await writeRooms(db, demo.users, histories, ({ pictures }) => storePictures(pictures, storage));
  } finally {
    await db.close();
  }
}
