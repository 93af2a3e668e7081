import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { createLogStore } from '../../src/db/log-store.js';
import { appendMessage, createRoom, editMessage } from '../../src/db/room-log.js';
import type { LogEntry, LogStore } from '../../src/domain/room-log.js';
import { createOutbox, type Outbox } from '../../src/pubsub/live/room/outbox.js';
import { EntrySeal } from '../../src/pubsub/nats/entry-seal.js';
import { createNatsPubSub } from '../../src/pubsub/nats/nats-pub-sub.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { startNats, type TestNats } from '../support/nats.js';
import { describeWithNats } from '../support/requirements.js';
import { readStoredLog } from '../support/room-log.js';
import { readChatMessages } from '../support/stream.js';
import { waitFor } from '../support/wait-for.js';

describeWithNats('the outbox', () => {
  const log = pino({ level: 'silent' });
  let database: TestDatabase;
  let nats: TestNats;
  let db: Database;
  let pubsub: PubSub;
  let outbox: Outbox;
  let store: LogStore;
  beforeAll(async () => {
    [database, nats] = await Promise.all([createDatabase(), startNats()]);
    db = connectDatabase({ url: database.url });
    pubsub = createNatsPubSub({ ...nats, creds: undefined, replicas: 1, replyPrefixes: [] }, log);
    store = createLogStore(db);
    outbox = createOutbox({
      pubsub,
      store,
      seal: new EntrySeal(() => db.newestSession()?.entryKey),
      log,
    });
    await waitFor(isTaken, { what: 'the streams' });
  });
  afterAll(async () => {
    await outbox.close();
    await pubsub.close();
    await db.close();
    await nats.stop();
    await database.drop();
  });

  const isTaken = async () => {
    const entry = await makeEntry();
    outbox.publish(entry);
    return waitFor(() => hasStored(entry), { what: 'the entry', timeoutMs: 1_000 }).catch(() => false);
  };
  const storedSeqs = async (roomId: string) =>
    (await readChatMessages(nats)).filter(({ body }) => body['roomId'] === roomId).map(({ body }) => body['seq']);
  const hasStored = async ({ seq, message }: LogEntry) => (await storedSeqs(message.roomId)).includes(seq);

  /** The second entry of a new room. Nobody publishes the first one, as if its instance were gone. */
  async function makeEntry(): Promise<LogEntry> {
    const ids = { id: randomUUID(), messageId: randomUUID() };
    const room = { ...ids, type: 'GROUP', name: null, directKey: null } as const;
    const { roomId } = await createRoom(db, { ...room, creatorId: 4, memberIds: [4, 5] });
    const message = { id: randomUUID(), roomId, senderId: 4, type: 'TEXT', content: '안녕' } as const;
    const { entries } = await appendMessage(db, message);
    return entries[0] as LogEntry;
  }

  it("publishes entries that another instance left before the database's clock was set back, and those written after them", async () => {
    const { message } = await makeEntry();
    const { roomId } = message;
    await editMessage(db, message.id, message.senderId, '고침');
    await database.query(
      `UPDATE chat_messages SET created_at = created_at + interval '1 hour', changed_at = changed_at + interval '1 hour'
       WHERE room_id = $1`,
      [roomId],
    );
    await appendMessage(db, { id: randomUUID(), roomId, senderId: 4, type: 'TEXT', content: '다음' });

    const isPublished = async () => (await readStoredLog(database, roomId)).publishedSeq === 4;
    await waitFor(isPublished, { what: 'the published mark' });
    // The second message was added and edited.
    expect(await storedSeqs(roomId)).toEqual([1, 2, 2, 4]);
  });

  it('leaves an entry that this instance is publishing to itself, however long that takes', async () => {
    const { roomId } = (await makeEntry()).message;
    const entries = await store.readPage({ roomId, base: 2, after: 0, upTo: 2 });
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const publish = pubsub.publish.bind(pubsub);
    const publishing = vi.spyOn(pubsub, 'publish').mockImplementation(async (...args) => {
      await held;
      return publish(...args);
    });
    const [reading, looking] = [vi.spyOn(store, 'readPage'), vi.spyOn(store, 'readUnpublished')];
    onTestFinished(() => void vi.restoreAllMocks());

    for (const entry of entries) outbox.publish(entry);
    const found = async () => {
      const rooms = await Promise.all(
        looking.mock.results.map(({ value }) => value as ReturnType<LogStore['readUnpublished']>),
      );
      return rooms.filter((due) => due.some((room) => room.roomId === roomId)).length;
    };
    await waitFor(async () => (await found()) >= 2, { what: 'the sweep to see the room', timeoutMs: 20_000 });
    expect(reading.mock.calls.filter(([range]) => range.roomId === roomId)).toEqual([]);
    expect(publishing).toHaveBeenCalledTimes(2);
    release();

    const isPublished = async () => (await readStoredLog(database, roomId)).publishedSeq === 2;
    await waitFor(isPublished, { what: 'the published mark', timeoutMs: 20_000 });
    expect(await storedSeqs(roomId)).toEqual([1, 2]);
  });

  it('looks for unpublished entries only if one is old enough', async () => {
    await waitFor(async () => (await store.readBacklog()).entries === 0, { what: 'no backlog', timeoutMs: 20_000 });
    const [looking, counting] = [vi.spyOn(store, 'readUnpublished'), vi.spyOn(store, 'readBacklog')];
    onTestFinished(() => void vi.restoreAllMocks());

    await waitFor(() => counting.mock.calls.length >= 3, { what: 'three rounds' });

    expect(looking).not.toHaveBeenCalled();
  });

  it('publishes entries again if the server that acknowledged them came back without its store', async () => {
    const entry = await makeEntry();
    const { roomId } = entry.message;
    outbox.publish(entry);
    await waitFor(() => hasStored(entry), { what: 'its acknowledgement', pollMs: 5 });

    await nats.kill();
    const { publishedSeq } = await readStoredLog(database, roomId);
    expect(publishedSeq, 'the store is lost before the sweep comes, 2 s behind the entry').toBe(0);
    await nats.restart({ wipe: true });

    const isPublished = async () => (await readStoredLog(database, roomId)).publishedSeq === entry.seq;
    await waitFor(isPublished, { what: 'the published mark' });
    // The stream has all entries up to the mark.
    expect(await storedSeqs(roomId)).toEqual([1, 2]);
  });
});
