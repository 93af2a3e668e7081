import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Msg } from '@nats-io/transport-node';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import type { TestClient } from '../support/client.js';
import { announce, complete, makePhoto, makeText, put, read, upload } from '../support/files.js';
import type { Instance } from '../support/instance.js';
import {
  deleteMessage,
  fileEvents,
  fileMessages,
  removeMember,
  roomFiles,
  sendFiles,
  updateRoom,
} from '../support/operations.js';
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
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

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
    expect((await put(a, announced, Buffer.from('wrong'))).status).toBe(409);
    await complete(alice, id);
    await send(alice, [id]);
    expect(await (await read(b, bob, url)).text()).toBe('right');
  });

  it('keeps its place among the messages that are sent over one socket without waiting', async () => {
    const other = await alice.group(5);
    const uploaded = await Promise.all([1, 2, 3].map((n) => upload(a, alice, other, makeText(`file ${n}`))));
    const sent = await Promise.all(
      uploaded.flatMap(({ id }, n) => [
        alice.ws(sendFiles, { input: { roomId: other, content: `text ${n}` } }),
        alice.ws(sendFiles, { input: { roomId: other, attachmentIds: [id] } }),
      ]),
    );
    const seqs = sent.map(({ sendMessage }) => sendMessage.message.seq);
    expect(seqs).toEqual(seqs.toSorted((x, y) => x - y));
  });

  it('is listed in pages, the newest message first, also by its kind', async () => {
    const other = await alice.group(5);
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) {
      const [text, photo] = await Promise.all([
        upload(a, alice, other, makeText(`${n}`)),
        upload(a, alice, other, await makePhoto({ width: 8, height: 6 })),
      ]);
      await alice.http(sendFiles, { input: { roomId: other, attachmentIds: [text.id, photo.id] } });
      ids.unshift(text.id, photo.id);
    }
    const listed: string[] = [];
    for (let after: string | null | undefined; after !== null; ) {
      const { room } = await bob.http(roomFiles, { roomId: other, first: 4, after });
      listed.push(...(room?.attachments.edges.map(({ node }) => node.id) ?? []));
      after = room?.attachments.pageInfo.hasNextPage === true ? room.attachments.pageInfo.endCursor : null;
    }
    expect(listed).toEqual(ids);
    const pictures = await bob.http(roomFiles, { roomId: other, kind: 'IMAGE' });
    expect(pictures.room?.attachments.edges.map(({ node }) => node.name)).toEqual(['사진.jpg', '사진.jpg', '사진.jpg']);
    await expect(bob.http(roomFiles, { roomId, after: 'x' })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    expect((await mallory.http(roomFiles, { roomId: other })).room).toBeNull();
  });

  it('becomes the picture of a room, which its members read, until another one takes its place', async () => {
    const other = await alice.group(5);
    const setPicture = async () => {
      const photo = await makePhoto();
      const announced = await announce(alice, other, photo, randomUUID(), 'ROOM_IMAGE');
      await put(a, announced, photo.bytes);
      const { id } = await complete(alice, announced.attachment.id);
      const { updateRoom: changed } = await alice.http(updateRoom, { input: { roomId: other, imageId: id } });
      return changed.room.imageUrl;
    };
    const note = makeText('no picture');
    const announced = await announce(alice, other, note, randomUUID(), 'ROOM_IMAGE');
    await put(a, announced, note.bytes);
    const refused = { status: 'FAILED', failure: 'TYPE_NOT_ALLOWED' };
    expect(await complete(alice, announced.attachment.id)).toMatchObject(refused);
    const first = await setPicture();
    expect(first).toMatch(/^\/files\/[0-9a-f-]{36}\/medium$/);
    expect((await read(b, bob, first)).headers.get('content-type')).toBe('image/webp');
    expect((await read(b, mallory, first)).status).toBe(404);
    const second = await setPicture();
    expect(second).not.toBe(first);
    expect([(await read(b, bob, first)).status, (await read(b, bob, second)).status]).toEqual([404, 200]);
    await expect(announce(bob, other, await makePhoto(), randomUUID(), 'ROOM_IMAGE')).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    const text = await upload(a, alice, other, makeText());
    await expect(alice.http(updateRoom, { input: { roomId: other, imageId: text.id } })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });

  it('is refused with a code if it is not the viewer’s, not of the room, not there yet, or one too many', async () => {
    const other = await alice.group(5);
    const [mine, elsewhere, bobs] = await Promise.all([
      upload(a, alice, roomId, makeText()),
      upload(a, alice, other, makeText()),
      upload(b, bob, roomId, makeText()),
    ]);
    const { attachment: pending } = await announce(alice, roomId, makeText());
    const refused: [readonly string[], string][] = [
      [[elsewhere.id], 'BAD_USER_INPUT'],
      [[bobs.id], 'BAD_USER_INPUT'],
      [[randomUUID()], 'BAD_USER_INPUT'],
      [[pending.id], 'CONFLICT'],
      [[mine.id, mine.id], 'BAD_USER_INPUT'],
      [[], 'BAD_USER_INPUT'],
      [['x'], 'BAD_USER_INPUT'],
      [Array.from({ length: 11 }, () => randomUUID()), 'BAD_USER_INPUT'],
    ];
    for (const [ids, code] of refused) await expect(send(alice, ids), ids.join()).rejects.toMatchObject({ code });
    expect((await send(alice, [mine.id])).message.attachments).toHaveLength(1);
    await expect(alice.http(sendFiles, { input: { roomId, type: 'FILE', content: 'x' } })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    await expect(upload(a, mallory, roomId, makeText())).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(complete(bob, mine.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(alice.send(roomId, 'the id of a file', mine.id)).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

describeWithNats('a file that the platform scans', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-scanned-'));
  const world = useWorld({ env: { STORAGE_URL: `file:${folder}`, FILES_SCAN: 'true' }, instances: 1 });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

  it('is held back until the scanner has answered, and never shown if it is infected', async () => {
    const [instance] = world.instances as [Instance];
    const [alice, bob] = [await world.client(4), await world.client(5)];
    const roomId = await alice.group(5);
    const [good, bad] = await Promise.all(
      ['good', 'EICAR'].map((text) => upload(instance, alice, roomId, makeText(text))),
    );
    if (good === undefined || bad === undefined) throw new Error('nothing uploaded');
    expect([good.status, bad.status]).toEqual(['PROCESSING', 'PROCESSING']);
    const { sendMessage } = await alice.http(sendFiles, { input: { roomId, attachmentIds: [good.id, bad.id] } });
    expect((await read(instance, bob, good.url)).status).toBe(404);

    const scanner = await Backend.connect(world.nats);
    const answer = async (request: Msg) => {
      const { url } = request.json<{ url: string }>();
      const text = await (await fetch(new URL(url, instance.url))).text();
      request.respond(JSON.stringify({ clean: text !== 'EICAR' }));
    };
    scanner.connection.subscribe('chat.files.scan', { callback: (_error, request) => void answer(request) });
    const statuses = await waitFor(
      async () => {
        const { room } = await bob.http(fileMessages, { roomId });
        const message = room?.messages.edges.find(({ node }) => node.id === sendMessage.message.id)?.node;
        const found = message?.attachments.map(({ status, failure }) => failure ?? status);
        return found?.includes('PROCESSING') === true ? undefined : found;
      },
      { what: 'the scanner' },
    );
    expect(statuses).toEqual(['READY', 'INFECTED']);
    expect((await read(instance, bob, good.url)).status).toBe(200);
    expect((await read(instance, alice, bad.url)).status).toBe(404);
    await scanner.connection.close();
  });
});
