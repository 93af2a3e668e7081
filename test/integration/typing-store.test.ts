import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { appendMessage, createRoom } from '../../src/db/room-log.js';
import { createTypingStore } from '../../src/db/typing.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const typist = 4;

describe("a typing signal beside the typist's newest message", () => {
  let database: TestDatabase;
  let db: Database;
  let roomId: string;
  let seq: number;
  let sentAt: number;
  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
    const room = { id: randomUUID(), type: 'GROUP', name: null, directKey: null } as const;
    const created = await createRoom(db, { ...room, creatorId: typist, memberIds: [typist], messageId: randomUUID() });
    roomId = created.roomId;
    const sent = await appendMessage(db, { id: randomUUID(), roomId, senderId: typist, type: 'TEXT', content: 'done' });
    sentAt = performance.now();
    seq = sent.message?.seq ?? 0;
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  it.each([
    ['is ended by it if it was sent before', -1_000, null, false],
    ['is ended by it if it may have been on its way to the stream for long', 150, null, false],
    ['is ended by it if it was sent before its position', 150, -1, false],
    ['remains if it was sent after its position', 150, 0, true],
    ['remains if it was sent long after', 2_000, null, true],
  ])('%s', async (_what, laterMs, behind, isKept) => {
    const said = { userId: typist, saidAt: sentAt + laterMs, seq: behind === null ? null : seq + behind };

    const kept = await createTypingStore(db).keepTyping(roomId, [said]);

    expect(kept).toEqual(isKept ? [said] : []);
  });
});
