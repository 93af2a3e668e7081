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
  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  /** Sends a message in a new room. By this process's clock it was sent between the two times. */
  async function send() {
    const room = { id: randomUUID(), type: 'GROUP', name: null, directKey: null } as const;
    const { roomId } = await createRoom(db, {
      ...room,
      creatorId: typist,
      memberIds: [typist],
      messageId: randomUUID(),
    });
    const earliest = performance.now();
    const sent = await appendMessage(db, { id: randomUUID(), roomId, senderId: typist, type: 'TEXT', content: 'done' });
    return { roomId, earliest, latest: performance.now(), seq: sent.message?.seq ?? 0 };
  }

  it.each([
    ['is ended by it if it was sent before', 'earliest', -1_000, null, false],
    ['is ended by it if it may have been on its way to the stream for long', 'earliest', 150, null, false],
    ['is ended by it if it was sent before its position', 'earliest', 150, -1, false],
    ['remains if it was sent after its position', 'latest', 150, 0, true],
    ['remains if it was sent long after', 'latest', 60_000, null, true],
  ] as const)('%s', async (_what, time, laterMs, behind, isKept) => {
    const { roomId, seq, ...sentAt } = await send();
    const said = { userId: typist, saidAt: sentAt[time] + laterMs, seq: behind === null ? null : seq + behind };

    const kept = await createTypingStore(db).keepTyping(roomId, [said]);

    expect(kept).toEqual(isKept ? [said] : []);
  });
});
