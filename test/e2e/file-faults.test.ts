import { execFileSync } from 'node:child_process';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { Signer } from '../../src/files/signer.js';
import { TestClient } from '../support/client.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import {
  type Announced,
  announce,
  type Bytes,
  complete,
  headOf,
  listFiles,
  makePhoto,
  makeText,
  put,
  read,
  upload,
  whenSettled,
} from '../support/files.js';
import { decodersOf, file, noise, peakOf } from '../support/hostile-files.js';
import type { Instance } from '../support/instance.js';
import { startNats } from '../support/nats.js';
import { createUpload, deleteMessage, fileMessages, sendFiles } from '../support/operations.js';
import { startOwnApp } from '../support/own-app.js';
import { mountSmallDisk, type SmallDisk, whyNoSmallDisk } from '../support/own-postgres.js';
import { RawHttp } from '../support/raw-http.js';
import { Reader } from '../support/reader.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const megabyte = 2 ** 20;
const newFolder = () => mkdtempSync(join(tmpdir(), 'fairway-faults-'));
const envOf = (folder: string) => ({
  STORAGE_URL: `file:${folder}`,
  FILES_PER_MINUTE: '100000',
  FILE_BYTES_PER_DAY: '2147483647',
});
const bytesOf = async (instance: Instance, client: TestClient, url: string | null): Promise<Buffer> =>
  Buffer.from(await (await read(instance, client, url)).arrayBuffer());
const finished = ['large', 'medium', 'original', 'small'];
const versionsOf = (folder: string, id: string) => listFiles(folder, `files/${id}/`).map((path) => path.split('/')[2]);

describeWithNats('the bytes of an upload', () => {
  const folder = newFolder();
  const world = useWorld({ env: envOf(folder) });
  let a: Instance;
  let b: Instance;
  let alice: TestClient;
  let roomId: string;
  beforeAll(async () => {
    [a, b] = world.instances as [Instance, Instance];
    alice = await world.client(4);
    roomId = await alice.group(5);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

  it('are whole after 20 connections that broke somewhere, and nothing else is left of them', async () => {
    const bytes = randomBytes(3 * megabyte).toString('hex');
    const text = makeText(bytes);
    const announced = await announce(alice, roomId, text);
    for (let cut = 0; cut < 20; cut += 1) {
      const connection = await RawHttp.connect(cut % 2 === 0 ? a : b);
      const length = randomInt(text.bytes.length);
      connection.write(
        Buffer.concat([Buffer.from(headOf(announced, text.bytes.length)), text.bytes.subarray(0, length)]),
      );
      if (cut % 3 === 0) await waitFor(() => listFiles(folder, 'scratch/').length > 0, { what: 'the first bytes' });
      connection.close();
    }
    await waitFor(() => listFiles(folder).length === 0, { what: 'nothing to be left of what broke off' });
    await expect(complete(alice, announced.attachment.id)).rejects.toMatchObject({ code: 'CONFLICT' });

    const again = await announce(alice, roomId, text, announced.attachment.id);
    expect((await put(b, again, text.bytes)).status).toBe(204);
    const { status, url } = await complete(alice, announced.attachment.id);
    expect(status).toBe('READY');
    expect((await bytesOf(a, alice, url)).toString() === bytes).toBe(true);
    await waitFor(() => listFiles(folder, 'incoming/').length === 0, { what: 'the end of what was received' });
  });

  it('are refused unless they are what was announced, where it was announced', async () => {
    const text = makeText('0123456789');
    const announced = await announce(alice, roomId, text);
    const other = await announce(alice, roomId, text);
    const to = (change: (url: URL) => void, with_: Partial<Announced> = {}): Announced => {
      const url = new URL(announced.url, a.url);
      change(url);
      return { ...announced, ...with_, url: url.href };
    };
    const ask = async (where: Announced, bytes = text.bytes) => (await put(a, where, bytes)).status;
    expect(await ask(to((url) => url.searchParams.set('signature', 'forged')))).toBe(403);
    expect(
      await ask(
        to((url) => url.searchParams.set('size', '11')),
        Buffer.from('01234567890'),
      ),
    ).toBe(403);
    expect(await ask(to((url) => url.searchParams.set('expires', String(Date.now() + 86_400_000))))).toBe(403);
    expect(await ask(to((url) => url.searchParams.set('user', '5')))).toBe(403);
    expect(await ask(to((url) => (url.pathname = new URL(other.url, a.url).pathname)))).toBe(403);
    expect(await ask(to((url) => (url.pathname = '/files/incoming/..%2f..%2fetc%2fpasswd')))).toBe(403);
    expect(await ask(to(() => undefined, { headers: [{ name: 'content-type', value: 'text/html' }] }))).toBe(403);
    for (const bytes of [Buffer.from('01234567890'), Buffer.from('short')]) {
      expect(await ask(announced, bytes)).toBe(400);
      const connection = await RawHttp.connect(a);
      connection.write(`${headOf(announced, null)}${bytes.length.toString(16)}\r\n${bytes}\r\n0\r\n\r\n`);
      expect((await connection.answer()).status).toBe(400);
      connection.close();
    }
    const [{ key }] = (await world.database.query<{ key: Buffer }>(
      `SELECT key FROM chat_keys WHERE name = 'files'`,
    )) as [{ key: Buffer }];
    const signer = new Signer(
      () => key,
      () => Date.now(),
    );
    const terms = { contentType: 'text/plain', byteSize: 10, userId: 4, expiresAt: new Date(Date.now() - 1_000) };
    const { url } = signer.signWrite(`incoming/${announced.attachment.id}`, terms);
    expect(await ask({ ...announced, url })).toBe(403);
    expect(listFiles(folder, 'incoming/')).toEqual([]);
    expect(await ask(announced)).toBe(204);
  });

  it('are those of one of two who write and complete at once, and never a mix', async () => {
    const [text, pdf] = [Buffer.alloc(50_000, 'text'), Buffer.alloc(50_000, '%PDF-1.7')];
    const types = { 'text/plain': text, 'application/pdf': pdf } as Record<string, Buffer>;
    for (let round = 0; round < 15; round += 1) {
      const input = { ...makeText(), bytes: text };
      const id = randomUUID();
      const announced = await announceWithoutDigest(alice, roomId, input, id);
      await put(a, announced, text);
      const there = await world.client(4, 1);
      await Promise.all([
        complete(alice, id),
        put(b, announced, pdf).then(() => complete(there, id)),
        put(a, announced, pdf).then(() => complete(alice, id)),
      ]);
      const { status, contentType, url } = await whenSettled(alice, id);
      expect(status).toBe('READY');
      expect((await bytesOf(b, alice, url)).equals(types[contentType] ?? Buffer.alloc(0)), contentType).toBe(true);
    }
  });

  it('are eight uploads at once of one user at most, however many are tried', async () => {
    const text = makeText('x'.repeat(1_000));
    const announced = await announce(alice, roomId, text);
    const before = peakOf(a.pid);
    const connections = await Promise.all(Array.from({ length: 200 }, () => RawHttp.connect(a)));
    onTestFinished(() => {
      for (const connection of connections) connection.close();
    });
    for (const connection of connections) connection.write(`${headOf(announced, 1_000)}x`);
    const refused = () => connections.filter(({ received }) => received.startsWith('HTTP/1.1 429'));
    await waitFor(() => refused().length === 192, { what: 'the refusal of all others' });
    expect(refused()[0]?.received).toMatch(/"code":"RATE_LIMITED"/);
    expect(refused()[0]?.received).toMatch(/"retryAfterMs":1000/);
    expect(peakOf(a.pid) - before).toBeLessThan(50 * megabyte);
    const bob = await world.client(5);
    const [others] = [await announce(bob, roomId, text)];
    expect((await put(a, others, text.bytes)).status).toBe(204);
    for (const connection of connections) connection.close();
    await waitFor(async () => (await put(a, announced, text.bytes)).status === 204, { what: 'a free place' });
  });

  it('may take long as long as some come, and are cut after 30 s without one', async () => {
    const text = makeText('x'.repeat(1_000));
    const [going, still, refused] = await Promise.all(
      [1, 2, 3].map(async () => ({ announced: await announce(alice, roomId, text), line: await RawHttp.connect(b) })),
    );
    if (going === undefined || still === undefined || refused === undefined) throw new Error('no connection');
    const startedAt = performance.now();
    going.line.write(headOf(going.announced, 1_000));
    still.line.write(`${headOf(still.announced, 1_000)}x`);
    refused.line.write(`${headOf({ ...refused.announced, url: '/files/incoming/nobody' }, 1_000)}x`);
    let sent = 0;
    const trickle = setInterval(() => {
      going.line.write('x');
      sent += 1;
      refused.line.write('x');
    }, 1_000);
    onTestFinished(() => clearInterval(trickle));
    await waitFor(() => still.line.isClosed && refused.line.isClosed, { what: 'the end of the still one' });
    expect(performance.now() - startedAt).toBeGreaterThan(29_000);
    expect(still.line.received).toMatch(/^HTTP\/1\.1 408/);
    expect(refused.line.received).toMatch(/^HTTP\/1\.1 403/);
    await delay(40_000 - (performance.now() - startedAt));
    clearInterval(trickle);
    going.line.write('x'.repeat(1_000 - sent));
    expect((await going.line.answer()).status).toBe(204);
    going.line.close();
    await waitFor(() => listFiles(folder, 'scratch/').length === 0, { what: 'nothing to be left of the others' });
  });

  async function announceWithoutDigest(client: TestClient, room: string, { name, type, bytes }: Bytes, id: string) {
    const input = { id, roomId: room, name, contentType: type, byteSize: bytes.length };
    return (await client.http(createUpload, { input })).createUpload;
  }
});

describeWithNats('an instance that is killed', () => {
  const folder = newFolder();
  const world = useWorld({ instances: 1, env: envOf(folder) });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

  it('between any two steps leaves a picture that the next one finishes, once', { timeout: 400_000 }, async () => {
    const large = file('large.jpg', 'image/jpeg', await noise(6_000, 4_000).jpeg().toBuffer());
    const usual = await makePhoto();
    let instance = world.instances[0] as Instance;
    const clientOf = () => world.client(4, world.instances.indexOf(instance));
    const roomId = await (await clientOf()).group(5);
    const send = async (id: string) =>
      (await clientOf()).http(sendFiles, { input: { id: randomUUID(), roomId, attachmentIds: [id] } });

    /** Brings a picture that far, and resolves with its id once the instance may be killed. */
    const steps: Record<string, () => Promise<string>> = {
      'after the bytes': async () => {
        const announced = await announce(await clientOf(), roomId, usual);
        await put(instance, announced, usual.bytes);
        return announced.attachment.id;
      },
      'after the completion': async () => (await upload(instance, await clientOf(), roomId, usual)).id,
      'while it is decoded': async () => {
        const { id } = await upload(instance, await clientOf(), roomId, large);
        await send(id);
        await waitFor(() => decodersOf(instance).some((pid) => peakOf(pid) > 75 * megabyte), { what: 'the decoder' });
        return id;
      },
      'after the thumbnails': async () => {
        const { id } = await upload(instance, await clientOf(), roomId, usual);
        await send(id);
        const lock = new pg.Client({ connectionString: world.database.url });
        await lock.connect();
        lock.on('error', () => undefined);
        await lock.query('BEGIN');
        await lock.query('SELECT FROM chat_attachments WHERE id = $1 FOR UPDATE', [id]);
        await waitFor(() => existsSync(join(folder, `files/${id}/original`)), { what: 'the thumbnails' });
        setTimeout(() => void lock.end(), 1_000);
        return id;
      },
    };
    for (const [when, reach] of Object.entries(steps)) {
      const id = await reach();
      await instance.kill();
      instance = await world.start();
      const client = await clientOf();
      await complete(client, id);
      expect(await whenSettled(client, id), when).toMatchObject({ status: 'READY', failure: null });
      await waitFor(() => versionsOf(folder, id).join() === finished.join(), { what: `its versions, killed ${when}` });
    }
    const { room } = await (await clientOf()).http(fileMessages, { roomId });
    const [messages, seq] = [room?.messages.edges ?? [], room?.seq];
    // The creation of the room, two messages, and one change of each.
    expect([messages.filter(({ node }) => node.type === 'IMAGE').length, seq]).toEqual([2, 5]);
    expect(listFiles(folder, 'incoming/')).toEqual([]);
  });

  it('in order while a picture is decoded does not FAIL it', { timeout: 200_000 }, async () => {
    const instance = await world.start();
    for (const other of world.instances) if (other !== instance) await other.kill();
    const client = await world.client(4, world.instances.indexOf(instance));
    const roomId = await client.group(5);
    const photo = file('large.jpg', 'image/jpeg', await noise(6_000, 4_000).jpeg().toBuffer());
    const { id } = await upload(instance, client, roomId, photo);
    const pid = await waitFor(() => decodersOf(instance).find((one) => peakOf(one) > 75 * megabyte), {
      what: 'a decoder at work',
      pollMs: 5,
    });
    // It would be ready before the instance gives up on it.
    process.kill(pid, 'SIGSTOP');
    await instance.stop();
    const [row] = await world.database.query('SELECT status, failure FROM chat_attachments WHERE id = $1', [id]);
    expect(row).toEqual({ status: 'PROCESSING', failure: null });
    await world.start();
    const next = await world.client(4, world.instances.length - 1);
    expect(await whenSettled(next, id)).toMatchObject({ status: 'READY' });
  });
});

describeWithNats('files', () => {
  const noDisk = whyNoSmallDisk();
  const folder = newFolder();
  let disk: SmallDisk | undefined;
  let proxy: TcpProxy;
  const world = useWorld({
    instances: 1,
    env: { ...envOf(folder), SEND_TIMEOUT_MS: '2000' },
    database: async () => {
      const database: TestDatabase = await createDatabase();
      proxy = await startTcpProxy(database.url);
      return {
        ...database,
        url: proxy.url,
        drop: async () => {
          await proxy.stop();
          await database.drop();
        },
      };
    },
  });
  let instance: Instance;
  let alice: TestClient;
  let roomId: string;
  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    alice = await world.client(4);
    roomId = await alice.group(5);
  });
  afterAll(() => {
    disk?.remove();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
  });
  const unavailable = { code: 'UNAVAILABLE' };

  it('are completed while NATS is away, and their thumbnails come when it is back', async () => {
    await world.nats.kill();
    const { id, status } = await upload(instance, alice, roomId, await makePhoto());
    expect(status).toBe('PROCESSING');
    await world.nats.restart({ wipe: true });
    expect(await whenSettled(alice, id)).toMatchObject({ status: 'READY' });
  });

  it('of a message that is deleted while its picture is made leave nothing', async () => {
    const photo = file('large.jpg', 'image/jpeg', await noise(6_000, 4_000).jpeg().toBuffer());
    const { id } = await upload(instance, alice, roomId, photo);
    const { message } = (await alice.http(sendFiles, { input: { roomId, attachmentIds: [id] } })).sendMessage;
    const pid = await waitFor(() => decodersOf(instance).find((one) => peakOf(one) > 75 * megabyte), {
      what: 'a decoder at work',
      pollMs: 5,
    });
    process.kill(pid, 'SIGSTOP');
    await alice.http(deleteMessage, { input: { messageId: message.id } });
    await waitFor(() => versionsOf(folder, id).length === 0, { what: 'the end of the bytes' });
    process.kill(pid, 'SIGCONT');
    await waitFor(() => versionsOf(folder, id).includes('original'), { what: 'the thumbnails', pollMs: 1 });
    await waitFor(() => versionsOf(folder, id).length === 0, { what: 'the end of the bytes, again' });
  });

  it('that are READY stay so, whatever a second work on them comes to', async () => {
    const { id } = await upload(instance, alice, roomId, await makePhoto());
    await whenSettled(alice, id);
    const settle = (status: string, failure: string | null) =>
      world.database.query(
        `SELECT outcome FROM chat_settle_attachment($1, $2::chat_attachment_status, $3::chat_attachment_failure, '{}', '1 day')`,
        [id, status, failure],
      );
    expect(await settle('FAILED', 'BROKEN')).toEqual([{ outcome: 'UNCHANGED' }]);
    expect(await settle('READY', null)).toEqual([{ outcome: 'UNCHANGED' }]);
    expect(await whenSettled(alice, id)).toMatchObject({ status: 'READY', failure: null });
  });

  it('are UNAVAILABLE while PostgreSQL is away, and the same afterwards', async () => {
    const text = makeText('kept');
    const announced = await announce(alice, roomId, text);
    const { url } = await upload(instance, alice, roomId, text);
    await proxy.cut();
    await expect(announce(alice, roomId, text)).rejects.toMatchObject(unavailable);
    expect((await put(instance, announced, text.bytes)).status).toBe(204);
    await expect(complete(alice, announced.attachment.id)).rejects.toMatchObject(unavailable);
    expect((await read(instance, alice, url)).status).toBe(503);
    await proxy.restore();
    const completed = await waitFor(() => complete(alice, announced.attachment.id), { what: 'the completion' });
    expect(completed).toMatchObject({ status: 'READY' });
    expect(String(await bytesOf(instance, alice, url))).toBe('kept');
  });

  it.skipIf(noDisk !== '')('are UNAVAILABLE while the disk is full or read-only, and messages go on', async () => {
    disk = mountSmallDisk(4);
    const { folder: mounted } = disk;
    await world.database.query(`DELETE FROM chat_keys WHERE name = 'storage'`);
    const small = await world.start({ STORAGE_URL: `file:${mounted}` });
    const client = await world.client(4, world.instances.indexOf(small));
    const text = makeText('y'.repeat(megabyte));
    const [full, late] = [await announce(client, roomId, text), await announce(client, roomId, text)];
    expect((await put(small, late, text.bytes)).status).toBe(204);
    disk.fill();
    const refusal = await put(small, full, text.bytes);
    expect([refusal.status, await refusal.text()]).toEqual([503, expect.stringContaining('UNAVAILABLE')]);
    await expect(complete(client, late.attachment.id)).rejects.toMatchObject(unavailable);
    expect(await client.send(roomId, 'goes on')).toMatchObject({ duplicate: false });
    disk.empty();
    expect(listFiles(mounted, 'scratch/')).toEqual([]);
    execFileSync('mount', ['-o', 'remount,ro', mounted]);
    expect((await put(small, full, text.bytes)).status).toBe(503);
    await expect(complete(client, late.attachment.id)).rejects.toMatchObject(unavailable);
    execFileSync('mount', ['-o', 'remount,rw', mounted]);
    expect((await put(small, full, text.bytes)).status).toBe(204);
    for (const { attachment } of [full, late]) {
      expect(await complete(client, attachment.id)).toMatchObject({ status: 'READY' });
    }
    await small.stop();
  });

  it('are not held in memory for a slow reader, and one that takes nothing is cut off', async () => {
    const large = file('large.txt', 'text/plain', Buffer.alloc(24 * megabyte, 'text'));
    const { url } = await upload(instance, alice, roomId, large);
    // The memory of other tests may be free by now.
    await bytesOf(instance, alice, url);
    const before = peakOf(instance.pid);
    const readers = await Promise.all(Array.from({ length: 20 }, () => Reader.connect(instance)));
    const request = `GET ${url} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${alice.token}\r\n\r\n`;
    for (const reader of readers) reader.write(request);
    const [slow, ...still] = readers;
    // About 12 s, which is more than the time without progress.
    const answer = await slow?.answer({ everyMs: 30 });
    expect([answer?.status, answer?.body.length]).toEqual([200, large.bytes.length]);
    expect(peakOf(instance.pid) - before).toBeLessThan(80 * megabyte);
    await Promise.all(still.map((reader) => reader.read()));
    for (const reader of still) expect(reader.receivedBytes).toBeLessThan(large.bytes.length);
    slow?.close();
  });
});

describeWithNats('a folder whose disk is lost', () => {
  const folder = newFolder();
  const disk = newFolder();
  const noMount = whyNoSmallDisk();
  /** Takes the disk away, as when it is not mounted any more, and puts it back: really, where that is allowed. */
  const unmount = () => {
    if (noMount === '') return void execFileSync('umount', ['--lazy', folder]);
    renameSync(folder, `${folder}-away`);
    mkdirSync(folder);
  };
  const mount = () => {
    if (noMount === '') return void execFileSync('mount', ['--bind', disk, folder]);
    rmdirSync(folder);
    renameSync(`${folder}-away`, folder);
  };
  if (noMount === '') mount();
  const world = useWorld({ env: envOf(folder) });
  afterAll(() => {
    if (noMount === '') execFileSync('umount', ['--lazy', folder]);
    for (const path of [folder, disk]) rmSync(path, { recursive: true, force: true });
  });
  const unavailable = { code: 'UNAVAILABLE' };

  it('is UNAVAILABLE and not written to until it is back, everything else goes on, and what waits is done then', async () => {
    const [a, b] = world.instances as [Instance, Instance];
    const [alice, bob] = [await world.client(4), await world.client(5, 1)];
    const roomId = await alice.group(5);
    const sendFile = async (id: string) =>
      (await alice.http(sendFiles, { input: { roomId, attachmentIds: [id] } })).sendMessage.message;
    const { id, url } = await upload(a, alice, roomId, makeText('kept'));
    await sendFile(id);
    const waiting = await announce(alice, roomId, makeText('waits'));
    expect((await put(a, waiting, makeText('waits').bytes)).status).toBe(204);
    const late = await announce(alice, roomId, makeText('late'));
    const photo = file('large.jpg', 'image/jpeg', await noise(6_000, 4_000).jpeg().toBuffer());
    const picture = await upload(a, alice, roomId, photo);
    const erased = await sendFile((await upload(a, alice, roomId, makeText('erased'))).id);

    unmount();
    for (const [instance, client] of [
      [a, alice],
      [b, bob],
    ] as const) {
      expect((await read(instance, client, url)).status).toBe(503);
      await expect(announce(client, roomId, makeText())).rejects.toMatchObject(unavailable);
    }
    expect((await put(a, late, makeText('late').bytes)).status).toBe(503);
    await expect(complete(alice, waiting.attachment.id)).rejects.toMatchObject(unavailable);
    expect(await alice.send(roomId, 'goes on')).toMatchObject({ duplicate: false });
    await alice.http(deleteMessage, { input: { messageId: erased.id } });
    // Longer than the work on the picture and on what is erased takes.
    await delay(12_000);
    expect(readdirSync(folder)).toEqual([]);
    expect(a.output()).toContain('The storage of files is not available');

    mount();
    expect(await complete(alice, waiting.attachment.id)).toMatchObject({ status: 'READY' });
    expect((await put(b, late, makeText('late').bytes)).status).toBe(204);
    expect(String(await bytesOf(b, bob, url))).toBe('kept');
    expect(await whenSettled(alice, picture.id)).toMatchObject({ status: 'READY' });
    await waitFor(() => versionsOf(folder, picture.id).join() === finished.join(), { what: 'the thumbnails' });
    const [{ attachment_id: gone }] = (await world.database.query(
      'SELECT attachment_id FROM chat_message_attachments WHERE message_id = $1',
      [erased.id],
    )) as [{ attachment_id: string }];
    await waitFor(() => versionsOf(folder, gone).length === 0, { what: 'the end of what was deleted' });
  }, 400_000);
});

describeWithNats('a server that starts while PostgreSQL is away', () => {
  it('starts, and takes files once PostgreSQL is back', async () => {
    const folder = newFolder();
    const [database, nats] = [await createDatabase(), await startNats()];
    const proxy = await startTcpProxy(database.url);
    await proxy.cut();
    const app = await startOwnApp({ database: { ...database, url: proxy.url }, nats }, envOf(folder));
    onTestFinished(async () => {
      await app.stop();
      await nats.stop();
      await proxy.stop();
      await database.drop();
      rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
    });
    const instance = { url: app.url, port: Number(new URL(app.url).port) } as Instance;
    expect(
      (await put(instance, { url: '/files/incoming/x', method: 'PUT', headers: [] } as never, Buffer.from('x'))).status,
    ).toBe(503);
    await proxy.restore();
    const alice = await TestClient.create(instance, 4);
    const roomId = await waitFor(() => alice.group(5), { what: 'the database' });
    const announced = await announce(alice, roomId, makeText('at last'));
    expect((await put(instance, announced, makeText('at last').bytes)).status).toBe(204);
    expect(listFiles(folder)).toEqual([`incoming/${announced.attachment.id}`]);
    await alice.close();
  });
});

describeWithNats('a user who sends many files', () => {
  const folder = newFolder();
  const limits = { STORAGE_URL: `file:${folder}`, FILES_PER_MINUTE: '6', FILE_BYTES_PER_DAY: '1000' };
  const world = useWorld({ instances: 1, env: limits });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

  it('is RATE_LIMITED by their bytes in a day and by their number in a minute, and no one else is', async () => {
    const [alice, bob] = [await world.client(4), await world.client(5)];
    const roomId = await alice.group(5);
    const [large, small] = [makeText('x'.repeat(600)), makeText('x'.repeat(400))];
    const first = await announce(alice, roomId, large);
    const refusal = announce(alice, roomId, large);
    await expect(refusal).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    const wait = await refusal.catch(({ extensions }) => Number(extensions.retryAfterMs));
    expect(wait).toBeGreaterThan(23 * 3_600_000);
    // What starts again has been counted, and a shorter one still has its place.
    await announce(alice, roomId, large, first.attachment.id);
    await announce(alice, roomId, small);
    await announce(alice, roomId, large, first.attachment.id);
    await announce(alice, roomId, large, first.attachment.id);
    const seventh = announce(alice, roomId, large, first.attachment.id);
    await expect(seventh).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    expect(await seventh.catch(({ extensions }) => Number(extensions.retryAfterMs))).toBeLessThanOrEqual(60_000);
    await announce(bob, roomId, large);
  });

  it('has so many that wait for their bytes, on all instances together, and goes on when one is completed', async () => {
    const more = { FILES_PER_MINUTE: '1000', FILE_BYTES_PER_DAY: '1000', MAX_PENDING_FILES: '5' };
    const clients = [];
    for (const _ of [1, 2]) {
      await world.start(more);
      clients.push(await world.client(7, world.instances.length - 1));
    }
    const [carol, there] = clients as [TestClient, TestClient];
    const roomId = await carol.group(8);
    const text = makeText('x'.repeat(50));
    const outcomes = await Promise.allSettled(
      Array.from({ length: 30 }, (_, index) => announce(index % 2 === 0 ? carol : there, roomId, text)),
    );
    const announced = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect([announced.length, refused.length]).toEqual([5, 25]);
    for (const reason of refused) {
      expect(reason).toMatchObject({ code: 'RATE_LIMITED', extensions: { retryAfterMs: 5_000 } });
    }
    const [first] = announced as [Announced];
    // One that starts again is none more, and those that were refused cost no bytes.
    await announce(there, roomId, text, first.attachment.id);
    const instance = world.instances.at(-1) as Instance;
    await put(instance, first, text.bytes);
    await complete(there, first.attachment.id);
    await announce(carol, roomId, text);
    await expect(announce(carol, roomId, text)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  });
});
