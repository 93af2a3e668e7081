import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import type { TestClient } from '../support/client.js';
import { listFiles, makePhoto, makeText, upload, whenSettled } from '../support/files.js';
import type { Instance } from '../support/instance.js';
import { sendFiles } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const dayMs = 86_400_000;

describeWithNats('the retention of files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-retention-'));
  const world = useWorld({
    env: { STORAGE_URL: `file:${folder}`, FILES_PER_MINUTE: '100000', ATTACHMENT_RETENTION_DAYS: '30' },
  });
  let backend: Backend;
  let alice: TestClient;
  beforeAll(async () => {
    backend = await Backend.connect(world.nats);
    alice = await world.client(4, 0);
  });
  afterAll(async () => {
    await backend?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
  });

  async function share(roomId: string, file = makeText()) {
    const { id } = await upload(world.instances[0] as Instance, alice, roomId, file);
    const input = { id: randomUUID(), roomId, attachmentIds: [id] };
    const { message } = (await alice.http(sendFiles, { input })).sendMessage;
    return { id, messageId: message.id };
  }

  const keep = async (roomId: string, attachmentRetentionDays: number | null) =>
    expect(await backend.ask('chat.rooms.keepFiles', { roomId, attachmentRetentionDays })).toMatchObject({
      success: true,
      data: { id: roomId, attachmentRetentionDays },
    });

  /** For how many days each file is kept after its message; null without an end. */
  const daysOf = async (roomId: string): Promise<(number | null)[]> =>
    (
      await world.database.query<{ days: number | null }>(
        `SELECT DISTINCT date_part('epoch', a.expires_at - m.created_at)::float8 * 1000 / $2 AS days
         FROM chat_attachments a JOIN chat_message_attachments u ON u.attachment_id = a.id
         JOIN chat_messages m ON m.id = u.message_id WHERE a.room_id = $1 ORDER BY days`,
        [roomId, dayMs],
      )
    ).map(({ days }) => days);

  it('is that of the room where the platform has set one, for later and earlier files, and else that of the server', async () => {
    const [room, other] = [await alice.group(5), await alice.group(5)];
    await share(room);
    await share(other);
    expect(await daysOf(room)).toEqual([30]);
    for (const days of [7, 365]) {
      await keep(room, days);
      expect(await daysOf(room), 'earlier files').toEqual([days]);
      await share(room);
      await whenSettled(alice, (await share(room, await makePhoto())).id);
      expect(await daysOf(room), 'later files').toEqual([days]);
    }
    await keep(room, 0);
    await share(room);
    expect(await daysOf(room), 'without an end').toEqual([null]);
    await keep(room, null);
    await share(room);
    expect(await daysOf(room)).toEqual([30]);
    expect(await daysOf(other)).toEqual([30]);
  });

  it('erases what is older once it is shortened, at the message and in the storage, and leaves name and size', async () => {
    const room = await alice.group(5);
    const [old, recent] = [await share(room), await share(room)];
    await world.database.query(`UPDATE chat_messages SET created_at = created_at - interval '8 days' WHERE id = $1`, [
      old.messageId,
    ]);
    await keep(room, 7);
    await waitFor(() => listFiles(folder, `files/${old.id}`).length === 0, { what: 'the end of the bytes' });
    expect(await whenSettled(alice, old.id)).toMatchObject({
      status: 'EXPIRED',
      url: null,
      byteSize: 5,
      name: 'notes.txt',
    });
    expect(await whenSettled(alice, recent.id)).toMatchObject({ status: 'READY' });
    expect(listFiles(folder, `files/${recent.id}`)).toHaveLength(1);
  });

  it('reaches all files of a large room part by part, while members send, and the last of several settings counts', async () => {
    const room = await alice.group(5);
    const messages = 700;
    await world.database.query(
      `WITH said AS (
         INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content)
         SELECT gen_random_uuid(), $1, 10 + n, 10 + n, 4, 'x', 'FILE', '' FROM generate_series(1, $2::int) n RETURNING id, seq
       ), files AS (
         INSERT INTO chat_attachments (id, room_id, uploader_id, name, content_type, byte_size, announced, status)
         SELECT gen_random_uuid(), $1, 4, 'x', 'text/plain', 1, '{}', 'READY' FROM generate_series(1, 2 * $2::int)
         RETURNING id
       )
       INSERT INTO chat_message_attachments (message_id, position, attachment_id, room_id, seq, kind)
       SELECT s.id, 1 + f.n / $2::int, f.id, $1, s.seq, 'FILE'
       FROM (SELECT id, seq, row_number() OVER () - 1 AS n FROM said) s
       JOIN (SELECT id, row_number() OVER () - 1 AS n FROM files) f ON f.n % $2::int = s.n`,
      [room, messages],
    );
    await world.database.query('UPDATE chat_rooms SET seq = 10 + $2, published_seq = 10 + $2 WHERE id = $1', [
      room,
      messages,
    ]);
    await Promise.all([keep(room, 5), share(room), share(room), keep(room, 9)]);
    const [{ days }] = (await world.database.query<{ days: number }>(
      'SELECT attachment_retention_days AS days FROM chat_rooms WHERE id = $1',
      [room],
    )) as [{ days: number }];
    expect(await daysOf(room)).toEqual([days]);
    const [{ due }] = (await world.database.query<{ due: number }>(
      'SELECT count(*)::int AS due FROM chat_attachments WHERE room_id = $1 AND due_at = expires_at',
      [room],
    )) as [{ due: number }];
    expect(due).toBe(2 * messages + 2);
  });
});
