import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { pino } from 'pino';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { S3Storage } from '../../src/files/s3-storage.js';
import type { TestClient } from '../support/client.js';
import { announce, type Bytes, complete, makePhoto, makeText, put, read, upload } from '../support/files.js';
import { type Instance, spawnInstance } from '../support/instance.js';
import { createUpload, fileEvents, fileMessages, roomFiles, sendFiles } from '../support/operations.js';
import { describeWithNatsAndS3 } from '../support/requirements.js';
import { startS3, type TestS3 } from '../support/s3.js';
import { type S3Proxy, startS3Proxy } from '../support/s3-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

/** Whoever waits for a storage that hangs has an answer by then. */
const soonMs = 15_000;

describeWithNatsAndS3('a file in a bucket', () => {
  let s3: TestS3;
  let bucket: string;
  const env: Record<string, string> = { FILES_PER_MINUTE: '1000000' };
  beforeAll(async () => {
    s3 = await startS3();
    bucket = await s3.createBucket();
    Object.assign(env, s3.settings(bucket));
  });
  afterAll(() => s3?.stop());
  const world = useWorld({ env });
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

  const sendBy = async (client: TestClient, attachmentId: string) =>
    (await client.http(sendFiles, { input: { id: randomUUID(), roomId, attachmentIds: [attachmentId] } })).sendMessage
      .message;
  const attachmentsOf = async (client: TestClient, messageId: string) => {
    const { room } = await client.http(fileMessages, { roomId });
    return room?.messages.edges.find(({ node }) => node.id === messageId)?.node.attachments;
  };
  const whenReady = (client: TestClient, messageId: string) =>
    waitFor(
      async () => {
        const [attachment] = (await attachmentsOf(client, messageId)) ?? [];
        return attachment?.status === 'READY' ? attachment : undefined;
      },
      { what: 'the thumbnails' },
    );
  const keysOf = async (id: string) => {
    const storage = new S3Storage(env['STORAGE_URL'] ?? '', s3.key, pino({ level: 'silent' }));
    const keys: string[] = [];
    for (const prefix of ['files/', 'incoming/']) {
      for await (const { key } of storage.list(prefix)) if (key.includes(id)) keys.push(key);
    }
    return keys.sort();
  };

  it('goes from one member to another, and its bytes never pass a server', async () => {
    const photo = await makePhoto();
    const announced = await announce(alice, roomId, photo);
    expect(new URL(announced.url).origin).toBe(s3.endpoint);
    expect((await put(a, announced, photo.bytes)).status).toBe(200);
    const { id } = await complete(await world.client(4, 1), announced.attachment.id);

    const message = await sendBy(await world.client(4, 1), id);
    const picture = await whenReady(bob, message.id);

    for (const instance of [a, b]) {
      const answer = await fetch(new URL(picture.url ?? '', instance.url), {
        headers: { authorization: `Bearer ${bob.token}` },
        redirect: 'manual',
      });
      expect(answer.status).toBe(302);
      expect(new URL(answer.headers.get('location') ?? '').origin).toBe(s3.endpoint);
      expect(new URL(answer.headers.get('location') ?? '').searchParams.get('X-Amz-Expires')).toBe('60');
      const bytes = Buffer.from(await (await read(instance, bob, picture.url)).arrayBuffer());
      expect(bytes).toHaveLength(picture.byteSize);
      expect(await sharp(bytes).metadata()).toMatchObject({ format: 'jpeg', width: 480, height: 640 });
      const small = await read(instance, bob, picture.thumbnailUrl);
      expect(small.headers.get('content-type')).toBe('image/webp');
      const part = await read(instance, bob, picture.url, { range: 'bytes=0-9' });
      expect([part.status, (await part.arrayBuffer()).byteLength]).toEqual([206, 10]);
    }
    const head = await fetch(new URL(picture.url ?? '', a.url), {
      method: 'HEAD',
      headers: { authorization: `Bearer ${bob.token}` },
    });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(picture.byteSize)]);
    // What was uploaded, with the place where it was taken, is gone.
    await waitFor(async () => !(await keysOf(id)).includes(`files/${id}/received`), { what: 'the end of the upload' });
    expect(await keysOf(id)).toEqual(
      expect.arrayContaining(['large', 'medium', 'original', 'small'].map((version) => `files/${id}/${version}`)),
    );
  });

  it('is read by members only, and by nobody before it is sent', async () => {
    const { id, url } = await upload(a, alice, roomId, makeText('회의록'));
    expect((await read(a, bob, url)).status).toBe(404);
    await sendBy(alice, id);

    const response = await read(b, bob, url);
    expect([response.status, await response.text()]).toEqual([200, '회의록']);
    expect(response.headers.get('content-type')).toBe('text/plain');
    expect(response.headers.get('content-disposition')).toContain('attachment; filename="notes.txt"');
    expect((await read(b, mallory, url)).status).toBe(404);
    expect((await fetch(new URL(url ?? '', a.url))).status).toBe(404);
  });

  it('cannot be changed after it was completed, nor written to a server', async () => {
    const file = makeText('right');
    const announced = await announce(alice, roomId, file);
    await expect(complete(alice, announced.attachment.id)).rejects.toMatchObject({ code: 'CONFLICT' });
    await put(a, announced, file.bytes);
    const { id, url } = await complete(alice, announced.attachment.id);

    expect((await put(a, announced, Buffer.from('wrong'))).status).toBe(200);
    await complete(alice, id);
    await sendBy(alice, id);
    expect(await (await read(b, bob, url)).text()).toBe('right');
    const direct = await fetch(new URL(`/files/incoming/${id}`, a.url), { method: 'PUT', body: 'wrong' });
    expect([404, 405]).toContain(direct.status);
  });

  it('is erased if it is not what was announced', async () => {
    const announced = await announce(alice, roomId, makeText('right'));
    await put(a, announced, Buffer.from('wrong'));

    expect(await complete(alice, announced.attachment.id)).toMatchObject({ status: 'FAILED', failure: 'CHECKSUM' });
    await waitFor(async () => (await keysOf(announced.attachment.id)).length === 0, { what: 'the end of its bytes' });
  });

  it('waits while the storage hangs, and nothing else does', async () => {
    const large: Bytes = await makePhoto({ width: 4_000, height: 3_000 });
    const feed = bob.subscribe(fileEvents, { roomId });
    await feed.count(1);
    const [first, second] = [await announce(alice, roomId, large), await announce(alice, roomId, makeText('later'))];
    await Promise.all([put(a, first, large.bytes), put(a, second, makeText('later').bytes)]);
    const picture = await complete(alice, first.attachment.id);
    s3.pause();
    expect(picture.status).toBe('PROCESSING');
    // Servers take an answer of the last two seconds for a sign of life.
    const isRefused = () =>
      announce(alice, roomId, makeText()).then(
        () => false,
        () => true,
      );
    await waitFor(isRefused, { what: 'the refusal of uploads', pollMs: 200 });

    const refused = async (work: Promise<unknown>) => {
      const start = performance.now();
      await expect(work).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(performance.now() - start).toBeLessThan(soonMs);
    };
    const pending = [
      refused(announce(alice, roomId, makeText())),
      refused(announce(bob, roomId, makeText())),
      refused(complete(alice, second.attachment.id)),
    ];
    const times: number[] = [];
    for (let index = 0; index < 20; index++) {
      const start = performance.now();
      const { message } = await alice.send(roomId, `text ${index}`);
      await feed.until(
        (events) =>
          events.some(
            ({ roomEvents }) => roomEvents.__typename === 'MessageAdded' && roomEvents.message.id === message.id,
          ),
        'the message',
      );
      await Promise.all([bob.http(fileMessages, { roomId }), bob.http(roomFiles, { roomId })]);
      times.push(performance.now() - start);
    }
    await Promise.all(pending);
    times.sort((x, y) => x - y);
    // Far less than the storage's limits: nobody has waited for it.
    expect(times[10]).toBeLessThan(1_000);
    const sent = await sendBy(alice, picture.id);
    expect((await attachmentsOf(bob, sent.id))?.[0]?.status).toBe('PROCESSING');

    s3.resume();
    expect(await whenReady(bob, sent.id)).toMatchObject({ width: 3_000, height: 4_000 });
    expect(await complete(alice, second.attachment.id)).toMatchObject({ status: 'READY' });
    feed.stop();
  });

  it('is there as soon as the storage is, on a server that started without it', async () => {
    await s3.kill();
    const c = await world.start();
    const carol = await world.client(4, world.instances.indexOf(c));
    await carol.send(roomId, 'no files yet');
    await expect(announce(carol, roomId, makeText())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(c.output()).toContain('The storage of files is not available');
    await s3.restart();

    const { id, url } = await upload(c, carol, roomId, makeText('at last'));
    await sendBy(carol, id);
    expect(await (await read(c, bob, url)).text()).toBe('at last');
  });

  it('is not kept by a server whose key or bucket is wrong: it does not start, and says why', async () => {
    const outputOf = async (more: Record<string, string>) => {
      const { database, nats } = world;
      const { child, output } = spawnInstance({ databaseUrl: database.url, nats, env: { ...env, ...more } });
      const [code] = await once(child, 'close');
      expect(code).toBe(1);
      return output();
    };
    const secret = 'a-secret-that-is-wrong';
    const wrongKey = await outputOf({ STORAGE_SECRET_KEY: secret });
    expect(wrongKey).toMatch(/STORAGE_KEY_ID and STORAGE_SECRET_KEY: the storage does not take them/);
    expect(wrongKey).not.toContain(secret);
    const other = s3.settings(await s3.createBucket());
    expect(await outputOf(other)).toMatch(/STORAGE_URL: .* is not the storage that this database was used with/);
    expect(await outputOf({ STORAGE_SECRET_KEY: '' })).toMatch(
      /STORAGE_KEY_ID and STORAGE_SECRET_KEY: both are needed/,
    );
  });
});

describeWithNatsAndS3('an upload to a bucket without conditions', () => {
  let s3: TestS3;
  let proxy: S3Proxy;
  const env: Record<string, string> = { FILES_PER_MINUTE: '1000000', MAX_PENDING_FILES: '3' };
  beforeAll(async () => {
    s3 = await startS3();
    proxy = await startS3Proxy(s3.endpoint);
    const settings = s3.settings(await s3.createBucket());
    const url = settings['STORAGE_URL']?.replace(s3.endpoint, proxy.endpoint) ?? '';
    Object.assign(env, settings, { STORAGE_URL: url });
  });
  afterAll(async () => {
    await proxy?.stop();
    await s3?.stop();
  });
  const world = useWorld({ env });
  let a: Instance;
  let alice: TestClient;
  let roomId: string;
  beforeAll(async () => {
    [a] = world.instances as [Instance];
    alice = await world.client(4);
    roomId = await alice.group(5);
  });
  const storage = () => new S3Storage(env['STORAGE_URL'] ?? '', s3.key, pino({ level: 'silent' }));
  const keysOf = async (id: string) => {
    const keys: string[] = [];
    for await (const { key } of storage().list(`files/${id}/`)) keys.push(key);
    return keys;
  };

  it('keeps the bytes that were looked at, though a second completion copies others later', async () => {
    const there = await world.client(4, 1);
    const [right, wrong] = [Buffer.from('the bytes that were looked at'), Buffer.from('%PDF-1.7 of other bytes here.')];
    const input = { id: randomUUID(), roomId, name: 'a', contentType: 'text/plain', byteSize: right.length };
    const announced = (await alice.http(createUpload, { input })).createUpload;
    const { id } = announced.attachment;
    await put(a, announced, right);
    const held = proxy.holdNextCopy();
    const second = complete(there, id);
    const release = await held;
    const first = await complete(alice, id);
    expect(first).toMatchObject({ status: 'READY', contentType: 'text/plain' });
    const incoming = async () => (await storage().sizeOf(`incoming/${id}`)) === null;
    await waitFor(incoming, { what: 'the end of what was received' });
    expect((await put(a, announced, wrong)).status).toBe(200);
    release();

    expect(await second).toEqual(first);
    expect(await (await read(a, alice, first.url)).text()).toBe(String(right));
    await waitFor(async () => (await keysOf(id)).length === 1, { what: 'the end of the copy that does not count' });
    expect(await (await read(a, alice, first.url)).text()).toBe(String(right));
  });

  it('is one of a few of its user that wait for their bytes', async () => {
    const waiting = [];
    for (let index = 0; index < 3; index += 1) waiting.push(await announce(alice, roomId, makeText()));
    await expect(announce(alice, roomId, makeText())).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      extensions: { retryAfterMs: 5_000 },
    });
    const [one] = waiting;
    if (one === undefined) throw new Error('nothing is announced');
    await put(a, one, makeText().bytes);
    await complete(alice, one.attachment.id);
    await announce(alice, roomId, makeText());
  });
});
