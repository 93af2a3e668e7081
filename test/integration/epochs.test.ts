import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { beginEpoch } from '../../src/db/epochs.js';
import { createLogStore } from '../../src/db/log-store.js';
import { appendMessage, createRoom, editMessage } from '../../src/db/room-log.js';
import { type EpochStart, presentEpoch } from '../../src/domain/epoch.js';
import { type Evidence, type LogEntry, type LogStore, toEvidence } from '../../src/domain/room-log.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { waitFor } from '../support/wait-for.js';

describe('the epoch of the logs', () => {
  let database: TestDatabase;
  let db: Database;
  let store: LogStore;
  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
    store = createLogStore(db);
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  it('is the first one of a new database, even if it is copied to another server before anybody connects', async () => {
    await makeRoom();

    expect(await database.query('SELECT number FROM chat_epochs')).toEqual([{ number: 1 }]);
  });

  it('begins when the database is on another server, and only once for all connections', async () => {
    const { roomId } = await makeRoom();
    const before = await epochsOf(roomId);
    await database.query(`UPDATE chat_epochs SET timeline = '000000FF'`);

    const others = Array.from({ length: 8 }, () => connectDatabase({ url: database.url }));
    await Promise.all(others.map(async (other) => createLogStore(other).readHead(roomId)));
    await Promise.all(others.map((other) => other.close()));

    const after = await epochsOf(roomId);
    expect(after).toHaveLength(before.length + 1);
    expect(after.at(-1)).toMatchObject({ seq: 3 });
    expect(presentEpoch(after) > presentEpoch(before)).toBe(true);
  });

  it('stays the same if the stored identity of the server is unknown', async () => {
    const { roomId } = await makeRoom();
    const before = await epochsOf(roomId);
    await database.query('UPDATE chat_epochs SET system_id = NULL, timeline = NULL, database_id = NULL');

    const other = connectDatabase({ url: database.url });
    await createLogStore(other).readHead(roomId);
    await other.close();

    expect(await epochsOf(roomId)).toEqual(before);
  });

  it('begins with the command, and the last eight are kept', async () => {
    const { roomId } = await makeRoom();
    await whileNobodyIsConnected(async () => {
      for (let n = 0; n < 9; n += 1) expect(await beginEpoch(database.url)).toMatchObject({ isSure: true });
    });

    const epochs = await epochsOf(roomId);
    expect(epochs).toHaveLength(8);
    expect(epochs.map(({ epoch }) => epoch)).toEqual(epochs.map(({ epoch }) => epoch).sort());
    expect(epochs.every(({ seq }) => seq === 3)).toBe(true);
    const rows = await database.query('SELECT FROM chat_room_epochs WHERE room_id = $1', [roomId]);
    expect(rows).toHaveLength(8);
  });

  it('is later than an epoch that others know, whatever the clock shows', async () => {
    const { roomId } = await makeRoom();
    const known = hourAfter(presentEpoch(await epochsOf(roomId)));

    expect((await beginEpoch(database.url, known)).epoch > known).toBe(true);
    const [row] = await database.query<{ epoch: string }>('SELECT chat_follow_server($1) AS epoch', [known]);
    expect(row?.epoch, 'the server is the same').toBe(presentEpoch(await epochsOf(roomId)));
    await database.query(`UPDATE chat_epochs SET timeline = '000000FF'`);
    const later = hourAfter(row?.epoch ?? '');
    const [next] = await database.query<{ epoch: string }>('SELECT chat_follow_server($1) AS epoch', [later]);
    expect((next?.epoch ?? '') > later).toBe(true);
  });

  it('has nothing in common with the one before if instances may have written since', async () => {
    const { roomId } = await makeRoom();
    await whileNobodyIsConnected(async () => {
      await database.query(
        `INSERT INTO chat_instances (id, expires_at) VALUES ($1, clock_timestamp() + interval '20 s')`,
        [randomUUID()],
      );
      expect(await beginEpoch(database.url)).toMatchObject({ isSure: false });
      await database.query('DELETE FROM chat_instances');
    });

    expect((await epochsOf(roomId)).at(-1)).toMatchObject({ seq: 0 });
  });

  it('has the whole log in common with it after a dump was restored, whose leases are still valid, until an instance renews one', async () => {
    const { roomId } = await makeRoom();
    const instance = randomUUID();
    const renew = () => database.query('SELECT chat_hold_lease($1, 20000)', [instance]);
    const leases = () => database.query('SELECT FROM chat_instances WHERE expires_at > clock_timestamp()');
    await whileNobodyIsConnected(async () => {
      await renew();
      await addKeysAsARestoreDoes();

      expect(await leases()).toHaveLength(1);
      expect(await beginEpoch(database.url)).toMatchObject({ isSure: true });
      expect((await database.query(commonSeq, [roomId]))[0]).toEqual({ seq: 3 });

      await renew();
      expect(await beginEpoch(database.url)).toMatchObject({ isSure: false });
      await database.query('DELETE FROM chat_instances');
    });

    expect((await epochsOf(roomId)).at(-1)).toMatchObject({ seq: 0 });
  });

  it('has nothing in common with it either if instances without a lease are connected', async () => {
    const { roomId } = await makeRoom();

    expect(await beginEpoch(database.url)).toMatchObject({ isSure: false });

    expect((await epochsOf(roomId)).at(-1)).toMatchObject({ seq: 0 });
  });

  it('recognizes connected instances by the name from their URL, and does not count the command as one', async () => {
    const { roomId } = await makeRoom();
    const url = (name: string) => `${database.url}?application_name=${name}`;

    await whileNobodyIsConnected(async () => {
      const instance = connectDatabase({ url: url('chat') });
      await createLogStore(instance).readHead(roomId);
      expect(await beginEpoch(url('chat'))).toMatchObject({ isSure: false });
      await instance.close();
    });

    await whileNobodyIsConnected(async () => {
      for (const name of ['chat', 'fairway']) expect(await beginEpoch(url(name))).toMatchObject({ isSure: true });
    });
  });

  it('has a row for each room that existed when it began, and treats a room without a row as later, whatever the clocks show', async () => {
    const { roomId, sent } = await makeRoom();
    await database.query(`UPDATE chat_rooms SET created_at = clock_timestamp() + interval '1 hour' WHERE id = $1`, [
      roomId,
    ]);
    const empty = randomUUID();
    await database.query(`INSERT INTO chat_rooms (id, type, created_at) VALUES ($1, 'GROUP', $2)`, [
      empty,
      new Date(0),
    ]);

    await store.doubtEpoch({ ...toEvidence(sent), seq: 99 });
    const later = await makeRoom();
    await database.query(`UPDATE chat_rooms SET created_at = $2 WHERE id = $1`, [later.roomId, new Date(0)]);

    expect((await epochsOf(roomId)).at(-1)).toMatchObject({ seq: 0 });
    expect((await epochsOf(empty)).at(-1)).toMatchObject({ seq: 0 });
    expect((await epochsOf(later.roomId)).at(-1)?.seq).toBeGreaterThan(3);
  });

  it('waits for the lock of a room, for no longer than 5 s, and begins with the next connection', async () => {
    const { roomId } = await makeRoom();
    const before = await epochsOf(roomId);
    const holder = new pg.Client(database.url);
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM chat_rooms WHERE id = $1 FOR NO KEY UPDATE', [roomId]);
    await database.query(`UPDATE chat_epochs SET timeline = '000000FF'`);
    const other = connectDatabase({ url: database.url });
    const otherStore = createLogStore(other);
    const startedAt = performance.now();

    const asked = await Promise.allSettled(Array.from({ length: 3 }, () => other.reads.query`SELECT 1`));

    expect(asked.map((one) => one.status === 'rejected' && one.reason)).toEqual(
      Array(3).fill(expect.objectContaining({ code: 'UNAVAILABLE' })),
    );
    // One after the other, they would wait for 15 s.
    expect(performance.now() - startedAt).toBeLessThan(14_000);
    await holder.query('COMMIT');
    await holder.end();
    const epochs = (await otherStore.readHead(roomId))?.epochs ?? [];
    await other.close();
    expect(presentEpoch(epochs) > presentEpoch(before)).toBe(true);
    expect(epochs.at(-1)).toMatchObject({ seq: 3 });
  });

  describe('that is doubted', () => {
    it.each<[string, (room: Room) => Evidence | Promise<Evidence>]>([
      ['an entry that is there', ({ sent }) => toEvidence(sent)],
      ['an entry whose message was edited since', ({ sent, edit }) => edit().then(() => toEvidence(sent))],
      ['an edit', async ({ edit }) => toEvidence(await edit())],
      [
        'an edit that another one has replaced',
        async ({ edit }) => [toEvidence(await edit()), await edit()][0] as Evidence,
      ],
      ['a message that was erased', ({ sent, erase }) => erase().then(() => toEvidence(sent))],
      [
        'an entry of an earlier epoch',
        ({ sent }) => ({ ...toEvidence(sent), seq: 99, epoch: '00000000-0000-7000-8000-000000000000' }),
      ],
    ])('stays for %s', async (_what, find) => {
      const room = await makeRoom();
      const evidence = await find(room);
      const before = await epochsOf(room.roomId);

      await store.doubtEpoch(evidence);

      expect(await epochsOf(room.roomId)).toEqual(before);
    });

    it.each<[string, (sent: LogEntry) => Partial<Evidence>]>([
      ['a position beyond the head', () => ({ seq: 4 })],
      ['an entry of which only the position is known', () => ({ seq: 4, messageId: null })],
      ['another message at a position', () => ({ messageId: randomUUID() })],
      ['an edit at a position that is a message of its own', () => ({ isAdded: false })],
      ['a later epoch', ({ epoch }) => ({ epoch: hourAfter(epoch) })],
    ])('ends for %s, and nothing is common', async (_what, change) => {
      const { roomId, sent } = await makeRoom();

      const evidence = { ...toEvidence(sent), ...change(sent) };
      await store.doubtEpoch(evidence);

      const epochs = await epochsOf(roomId);
      expect(presentEpoch(epochs) > evidence.epoch).toBe(true);
      expect(epochs.at(-1)).toMatchObject({ seq: 0 });
      expect(db.epochs.present).toBe(presentEpoch(epochs));
    });
  });

  const commonSeq = 'SELECT seq FROM chat_room_epochs WHERE room_id = $1 ORDER BY epoch DESC LIMIT 1';

  /** A dump loads the rows first, and adds the keys of the tables afterwards. */
  async function addKeysAsARestoreDoes(): Promise<void> {
    await database.query('ALTER TABLE chat_instances DROP CONSTRAINT chat_instances_pkey CASCADE');
    await database.query('ALTER TABLE chat_instances ADD CONSTRAINT chat_instances_pkey PRIMARY KEY (id)');
    await database.query(
      `ALTER TABLE chat_connections ADD CONSTRAINT chat_connections_instance_id_fkey
        FOREIGN KEY (instance_id) REFERENCES chat_instances (id) ON UPDATE CASCADE ON DELETE CASCADE`,
    );
  }

  async function whileNobodyIsConnected(work: () => Promise<void>): Promise<void> {
    await db.close();
    await waitFor(
      async () => {
        const connections = await database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name IN ('chat', 'fairway')`,
        );
        return connections.length === 0;
      },
      { what: 'the connections to be gone' },
    );
    await work();
    db = connectDatabase({ url: database.url });
    store = createLogStore(db);
  }

  /** An epoch from a clock that is an hour ahead. */
  const hourAfter = (epoch: string): string => {
    const ms = Number.parseInt(epoch.replace('-', '').slice(0, 12), 16) + 3_600_000;
    const time = ms.toString(16).padStart(12, '0');
    return `${time.slice(0, 8)}-${time.slice(8)}${epoch.slice(13)}`;
  };

  interface Room {
    readonly roomId: string;
    /** The entry at position 3. */
    readonly sent: LogEntry;
    edit(): Promise<LogEntry>;
    erase(): Promise<unknown>;
  }

  async function makeRoom(): Promise<Room> {
    const ids = { id: randomUUID(), messageId: randomUUID() };
    const room = { ...ids, type: 'GROUP', name: null, directKey: null } as const;
    const { roomId } = await createRoom(db, { ...room, creatorId: 4, memberIds: [4, 5] });
    const send = () => appendMessage(db, { id: randomUUID(), roomId, senderId: 4, type: 'TEXT', content: 'sent' });
    await send();
    const sent = (await send()).entries[0] as LogEntry;
    const { id } = sent.message;
    let edits = 0;
    return {
      roomId,
      sent,
      edit: async () => (await editMessage(db, id, 4, `edit ${++edits}`)).entries[0] as LogEntry,
      erase: () => database.query('DELETE FROM chat_messages WHERE id = $1', [id]),
    };
  }

  const epochsOf = async (roomId: string): Promise<readonly EpochStart[]> =>
    (await store.readHead(roomId))?.epochs ?? [];
});
