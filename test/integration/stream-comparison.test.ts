import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { createLogStore } from '../../src/db/log-store.js';
import { appendMessage, createRoom } from '../../src/db/room-log.js';
import type { LogEntry } from '../../src/domain/room-log.js';
import { encodeEntry } from '../../src/pubsub/nats/encoding.js';
import { EntrySeal } from '../../src/pubsub/nats/entry-seal.js';
import { createNatsPubSub } from '../../src/pubsub/nats/nats-pub-sub.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { StreamComparison } from '../../src/pubsub/nats/stream-comparison.js';
import { messageSubject } from '../../src/pubsub/nats/subjects.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { startNats, type TestNats } from '../support/nats.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';

describeWithNats('the comparison with the stream', () => {
  let database: TestDatabase;
  let nats: TestNats;
  let db: Database;
  let pubsub: PubSub;
  beforeAll(async () => {
    [database, nats] = await Promise.all([createDatabase(), startNats()]);
    db = connectDatabase({ url: database.url });
    pubsub = createNatsPubSub({ ...nats, creds: undefined, replicas: 1, replyPrefixes: [] }, pino({ level: 'silent' }));
  });
  afterAll(async () => {
    await pubsub.close();
    await db.close();
    await nats.stop();
    await database.drop();
  });

  it('is retried over the same connections until it succeeds', async () => {
    const seal = new EntrySeal(() => db.newestSession()?.entryKey);
    const entry = await makeEntry();
    const seq = entry.seq + 1;
    const lost = encodeEntry(seal, {
      ...entry,
      seq,
      message: { ...entry.message, id: randomUUID(), seq, changedSeq: seq },
    });
    const publish = () => pubsub.publish(messageSubject(entry.message.roomId, null), lost, randomUUID());
    await waitFor(
      () =>
        publish()
          .then(() => true)
          .catch(() => false),
      { what: 'the stream to take it' },
    );
    const failures: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line: string) => void failures.push(line) });
    const comparison = new StreamComparison({ pubsub, store: createLogStore(db), epochs: db.epochs, seal, log });
    const holder = new pg.Client(database.url);
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE chat_rooms IN ACCESS EXCLUSIVE MODE');

    comparison.start();
    await waitFor(() => failures.length > 0, { what: 'a first failure' });
    await holder.query('COMMIT');
    await holder.end();

    await waitFor(() => db.epochs.present > entry.epoch, { what: 'the next epoch' });
    expect(await database.query('SELECT FROM chat_epochs')).toHaveLength(2);
    comparison.close();
  });

  it('receives an error if the stream cannot be read', async () => {
    await nats.kill();

    await expect(pubsub.newest('CHAT_MESSAGES', 1)).rejects.toThrow();
  });

  async function makeEntry(): Promise<LogEntry> {
    const ids = { id: randomUUID(), messageId: randomUUID() };
    const room = { ...ids, type: 'GROUP', name: null, directKey: null } as const;
    const { roomId } = await createRoom(db, { ...room, creatorId: 4, memberIds: [4, 5] });
    const message = { id: randomUUID(), roomId, senderId: 4, type: 'TEXT', content: 'lost' } as const;
    return (await appendMessage(db, message)).entries[0] as LogEntry;
  }
});
