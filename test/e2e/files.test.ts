import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import { announce, complete, makePhoto, makeText, put, read, upload } from '../support/files.js';
import type { Instance } from '../support/instance.js';
import { deleteMessage, fileEvents, fileMessages, removeMember, roomFiles, sendFiles } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

describeWithNats('a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-files-'));
  const world = useWorld({ env: { STORAGE_URL: `file:${folder}` } });
  let a: Instance;
  let b: Instance;
  let alice: TestClient;
  let bob: TestClient;
  let mallory: TestClient;
  let roomId: string;
  beforeAll(async () => {
    [a, b] = world.instances as [Instance, Instance];
    alice = await world.client(4, 0);
    bob = await world.client(5, 1);
    mallory = await world.client(6, 1);
    roomId = await alice.group(5);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const send = async (client: TestClient, attachmentIds: readonly string[], id = randomUUID(), content?: string) =>
    (
      await client.http(sendFiles, {
        input: { id, roomId, content: content ?? null, attachmentIds: [...attachmentIds] },
      })
    ).sendMessage;

  /** Waits for the picture's thumbnails, as anybody sees them. */
  const whenReady = (client: TestClient, messageId: string) =>
    waitFor(
      async () => {
        const { room } = await client.http(fileMessages, { roomId });
        const message = room?.messages.edges.find(({ node }) => node.id === messageId)?.node;
        return message?.attachments.every(({ status }) => status === 'READY') === true ? message : undefined;
      },
      { what: 'the thumbnails' },
    );

  it('goes from one member to another, over two instances, upright and without the place where it was taken', async () => {
    const photo = await makePhoto();
    const feed = bob.subscribe(fileEvents, { roomId });
    await feed.count(1);
    const uploaded = await upload(a, alice, roomId, photo);
    expect(uploaded).toMatchObject({ name: '사진.jpg', kind: 'IMAGE', contentType: 'image/jpeg', failure: null });

    const { message } = await send(await world.client(4, 1), [uploaded.id], undefined, '보세요');
    expect(message).toMatchObject({ type: 'IMAGE', content: '보세요', attachments: [{ id: uploaded.id }] });

    const ready = await whenReady(bob, message.id);
    const [picture] = ready.attachments;
    expect(picture).toMatchObject({ width: 480, height: 640, status: 'READY' });
    expect(picture?.thumbHash).toMatch(/^[\w+/=]{20,}$/);
    for (const instance of [a, b]) {
      const response = await read(instance, bob, picture?.url ?? null);
      expect(response.status).toBe(200);
      const bytes = Buffer.from(await response.arrayBuffer());
      const metadata = await sharp(bytes).metadata();
      expect(metadata).toMatchObject({ format: 'jpeg', width: 480, height: 640 });
      expect([metadata.exif, metadata.orientation]).toEqual([undefined, undefined]);
      expect(bytes.length).toBe(picture?.byteSize);
      const small = await read(instance, bob, picture?.thumbnailUrl ?? null);
      expect(await sharp(Buffer.from(await small.arrayBuffer())).metadata()).toMatchObject({
        format: 'webp',
        height: 320,
      });
    }
    await feed.until(
      (events) => events.some(({ roomEvents }) => roomEvents.__typename === 'MessageUpdated'),
      'the news of thumbnails',
    );
    expect(feed.events.map(({ roomEvents }) => roomEvents.__typename)).toEqual([
      'RoomReady',
      'MessageAdded',
      'MessageUpdated',
    ]);
    expect(feed.events.at(-1)?.roomEvents).toMatchObject({
      change: 'ATTACHMENTS',
      message: { attachments: [{ status: 'READY' }] },
    });
    feed.stop();
  });

  it('that is no picture is ready at once, and saved under its name', async () => {
    const uploaded = await upload(a, alice, roomId, makeText('회의록'));
    expect(uploaded).toMatchObject({ kind: 'FILE', contentType: 'text/plain', status: 'READY', thumbnailUrl: null });
    const { message } = await send(alice, [uploaded.id]);
    expect(message).toMatchObject({ type: 'FILE', content: '' });
    const response = await read(b, bob, uploaded.url);
    expect(await response.text()).toBe('회의록');
    expect(response.headers.get('content-disposition')).toBe(
      `attachment; filename="notes.txt"; filename*=UTF-8''notes.txt`,
    );
    expect(response.headers.get('content-security-policy')).toContain('sandbox');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('is read by members only, and by nobody before it is sent', async () => {
    const uploaded = await upload(a, alice, roomId, makeText());
    expect((await read(a, alice, uploaded.url)).status).toBe(200);
    expect((await read(a, bob, uploaded.url)).status).toBe(404);
    await send(alice, [uploaded.id]);
    expect((await read(b, bob, uploaded.url)).status).toBe(200);
    expect((await read(b, mallory, uploaded.url)).status).toBe(404);
    expect((await fetch(new URL(uploaded.url ?? '', a.url))).status).toBe(404);
  });

  it('is gone for everybody once its message is deleted, and for a member who is removed', async () => {
    const other = await alice.group(5);
    const uploaded = await upload(a, alice, other, makeText());
    const { sendMessage } = await alice.http(sendFiles, { input: { roomId: other, attachmentIds: [uploaded.id] } });
    expect((await read(b, bob, uploaded.url)).status).toBe(200);
    await alice.http(removeMember, { input: { roomId: other, userId: '5' } });
    expect((await read(b, bob, uploaded.url)).status).toBe(404);
    await alice.http(deleteMessage, { input: { messageId: sendMessage.message.id } });
    expect((await read(b, alice, uploaded.url)).status).toBe(404);
    const { room } = await alice.http(fileMessages, { roomId: other });
    const deleted = room?.messages.edges.find(({ node }) => node.id === sendMessage.message.id)?.node;
    expect(deleted).toMatchObject({ type: 'FILE', content: null, attachments: [] });
    expect((await alice.http(roomFiles, { roomId: other })).room?.attachments.edges).toEqual([]);
  });

  it('is uploaded, completed and sent any number of times with the same ids, and is there once', async () => {
    const file = makeText('once');
    const id = randomUUID();
    const [first] = await Promise.all([1, 2, 3].map(() => announce(alice, roomId, file, id)));
    await expect(complete(alice, id)).rejects.toMatchObject({ code: 'CONFLICT' });
    if (first === undefined) throw new Error('nothing announced');
    await Promise.all([put(a, first, file.bytes), put(b, first, file.bytes)]);
    const completed = await Promise.all([complete(alice, id), complete(alice, id)]);
    expect(completed.map(({ status }) => status)).toEqual(['READY', 'READY']);
    const messageId = randomUUID();
    const sent = await Promise.all([1, 2, 3].map(() => send(alice, [id], messageId)));
    expect(sent.map(({ duplicate }) => duplicate).sort()).toEqual([false, true, true]);
    await expect(send(alice, [id])).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(alice.send(roomId, 'once', messageId)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(announce(alice, roomId, makeText('other'), id)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('cannot be changed after it was completed', async () => {
    const file = makeText('right');
    const announced = await announce(alice, roomId, file);
    await put(a, announced, file.bytes);
    const { id, url } = await complete(alice, announced.attachment.id);
    expect((await put(a, announced, Buffer.from('wrong'))).status).toBe(204);
    await complete(alice, id);
    await send(alice, [id]);
    expect(await (await read(b, bob, url)).text()).toBe('right');
  });
});
