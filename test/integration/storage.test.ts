import { randomBytes, randomUUID } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pLimit from 'p-limit';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FolderStorage } from '../../src/files/folder-storage.js';
import { openStorage } from '../../src/files/open-storage.js';
import { S3Storage } from '../../src/files/s3-storage.js';
import { Signer } from '../../src/files/signer.js';
import type { Storage } from '../../src/files/storage.js';
import { describeWithS3 } from '../support/requirements.js';
import { listPageSize, type S3Key, startS3, type TestS3 } from '../support/s3.js';
import { waitFor } from '../support/wait-for.js';

const log = pino({ level: 'silent' });
const signer = new Signer(
  () => randomBytes(32),
  () => Date.now(),
);
/** A storage that hangs is given up long before its clients do that. */
const soonMs = 15_000;

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'fairway-storage-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function fileOf(content: string | Uint8Array): string {
  const path = join(scratch, randomUUID());
  writeFileSync(path, content);
  return path;
}

const write = (storage: Storage, key: string, content: string | Uint8Array) =>
  storage.write(key, fileOf(content), 'text/plain');
const readText = async (storage: Storage, key: string) => {
  const bytes = await storage.read(key);
  return bytes === null ? null : text(bytes);
};
async function keysOf(storage: Storage): Promise<string[]> {
  const keys: string[] = [];
  for (const prefix of ['files/', 'many/', 'more/', 'chat/']) {
    for await (const { key } of storage.list(prefix)) keys.push(key);
  }
  return keys.sort();
}

interface Subject {
  open(): Promise<Storage>;
  /** Makes it fail, and resolves with a function that ends the failure. */
  breakDown(): Promise<() => Promise<void>>;
}

function behavesAsStorage(subject: () => Subject) {
  let storage: Storage;
  beforeAll(async () => {
    storage = await subject().open();
  });

  it('stores a file and returns it, as a whole and in parts', async () => {
    await write(storage, 'files/a/original', '0123456789');

    expect(await storage.sizeOf('files/a/original')).toBe(10);
    expect(await readText(storage, 'files/a/original')).toBe('0123456789');
    expect(await text((await storage.read('files/a/original', { start: 2, end: 4 })) as Readable)).toBe('234');
    await write(storage, 'files/a/original', 'other');
    expect(await readText(storage, 'files/a/original')).toBe('other');
    await write(storage, 'files/a/empty', '');
    expect([await storage.sizeOf('files/a/empty'), await readText(storage, 'files/a/empty')]).toEqual([0, '']);
  });

  it('has no bytes, no length and no copy of what is not there', async () => {
    expect(await storage.sizeOf('files/nobody/received')).toBeNull();
    expect(await storage.read('files/nobody/received')).toBeNull();
    expect(await storage.copy('files/nobody/received', 'files/b/received')).toBe(false);
    expect(await storage.sizeOf('files/b/received')).toBeNull();
  });

  it('copies, and the copy does not change with its source', async () => {
    await write(storage, 'incoming/c', 'first');

    expect(await storage.copy('incoming/c', 'files/c/received')).toBe(true);
    await write(storage, 'incoming/c', 'second');

    expect(await readText(storage, 'files/c/received')).toBe('first');
  });

  it('lists everything, and removes what begins with a prefix and nothing else', async () => {
    const count = 2 * listPageSize + 10;
    const limit = pLimit(16);
    await storage.removeAll('many/');
    const keys = Array.from({ length: count }, (_, index) => `many/${index}/received`);
    await Promise.all(keys.map((key) => limit(() => write(storage, key, key))));
    await write(storage, 'more/1/received', 'stays');

    const listed = await keysOf(storage);
    expect(listed.filter((key) => key.startsWith('many/'))).toEqual(keys.sort());
    for await (const { modifiedAt } of storage.list('many/')) {
      expect(Math.abs(modifiedAt.getTime() - Date.now())).toBeLessThan(600_000);
    }
    await storage.remove('many/0/received');
    await storage.remove('many/0/received');
    expect(await keysOf(storage)).toEqual(listed.filter((key) => key !== 'many/0/received'));
    await storage.removeAll('many/');
    await storage.removeAll('many/');

    expect((await keysOf(storage)).filter((key) => key.startsWith('many/'))).toEqual([]);
    expect(await readText(storage, 'more/1/received')).toBe('stays');
  });

  it('has one id for ever: all who try get the same one', async () => {
    const others = await Promise.all([1, 2].map(() => subject().open()));
    const ids = await Promise.all([storage, ...others].map((one, index) => one.identify(`id-${index}`)));

    expect(new Set(ids).size).toBe(1);
    expect(await storage.identify('later')).toBe(ids[0]);
  });

  it('removes an object, and not those whose keys are longer', async () => {
    for (const key of ['files/r/received', 'files/r/received-1']) await write(storage, key, key);
    await storage.remove('files/r/received');
    expect(await readText(storage, 'files/r/received')).toBeNull();
    expect(await readText(storage, 'files/r/received-1')).toBe('files/r/received-1');
  });

  it('is UNAVAILABLE while it is away, without a long wait, and works again afterwards', async () => {
    await write(storage, 'files/d/received', 'still there');
    const repair = await subject().breakDown();
    const path = fileOf('x');
    const start = performance.now();
    await expect(storage.sizeOf('files/d/received')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const waitedMs = performance.now() - start;

    const outcomes = await Promise.allSettled([
      storage.read('files/d/received'),
      storage.copy('files/d/received', 'files/d/copy'),
      storage.write('files/d/other', path, 'text/plain'),
      // Not what is read below: the storage may do it after all, later.
      storage.remove('files/d/nothing'),
      storage.removeAll('files/d/'),
      keysOf(storage),
      storage.identify('x'),
    ]);
    await repair();

    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'ChatError', code: 'UNAVAILABLE' } });
    }
    expect(waitedMs).toBeLessThan(soonMs);
    expect(await readText(storage, 'files/d/received')).toBe('still there');
  });
}

describe('a folder as storage', () => {
  const openAt = async (root: string) => {
    const storage = new FolderStorage(root, (key, terms) => signer.signWrite(key, terms), log);
    await storage.identify('the-first-id');
    return storage;
  };

  describe('that is no folder any more', () => {
    const root = () => join(scratch, 'storage');
    behavesAsStorage(() => ({
      open: () => openAt(root()),
      breakDown: async () => {
        renameSync(root(), `${root()}-away`);
        writeFileSync(root(), 'no folder');
        return async () => {
          rmSync(root());
          renameSync(`${root()}-away`, root());
        };
      },
    }));
  });

  describe('whose disk is not mounted any more', () => {
    const root = () => join(scratch, 'mounted');
    behavesAsStorage(() => ({
      open: () => openAt(root()),
      breakDown: async () => {
        renameSync(root(), `${root()}-away`);
        mkdirSync(root());
        return async () => {
          // Nothing was written where the disk is missing, or it could not be removed.
          rmdirSync(root());
          renameSync(`${root()}-away`, root());
        };
      },
    }));
  });

  const terms = () => ({ contentType: 'text/plain', byteSize: 8, expiresAt: new Date(Date.now() + 60_000), userId: 4 });

  it('that was exchanged for another one is UNAVAILABLE, also for what is being received', async () => {
    const [root, away] = [join(scratch, 'exchanged'), join(scratch, 'exchanged-away')];
    const storage = await openAt(root);
    await write(storage, 'files/e/received', 'mine');
    let goOn: () => void = () => undefined;
    const half = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const receiving = storage.receive('incoming/e', halves(half), 8);
    await waitFor(() => readdirSync(join(root, 'scratch')).length > 0, { what: 'the first bytes' });

    renameSync(root, away);
    const other = new FolderStorage(root, (key, one) => signer.signWrite(key, one), log);
    await other.identify('another-id');
    goOn();
    const unavailable = { code: 'UNAVAILABLE', cause: { name: 'LostFolderError' } };
    await expect(receiving).rejects.toMatchObject(unavailable);
    await expect(storage.read('files/e/received')).rejects.toMatchObject(unavailable);
    await expect(storage.addressForWriting('incoming/f', terms())).rejects.toMatchObject(unavailable);
    expect(readdirSync(root).sort()).toEqual(['scratch', 'storage-id']);

    rmSync(root, { recursive: true });
    renameSync(away, root);
    expect(await readText(storage, 'files/e/received')).toBe('mine');
    await storage.receive('incoming/e', halves(half), 8);
  });

  async function* halves(pause: Promise<void>): AsyncGenerator<Buffer> {
    yield Buffer.from('half');
    await pause;
    yield Buffer.from('half');
  }

  it('lists any number of objects in little memory', async () => {
    const root = join(scratch, 'large');
    const storage = await openAt(root);
    const [folders, each] = [100, 100];
    for (let index = 0; index < folders * each; index += 1) {
      if (index % each === 0) mkdirSync(join(root, `files/${index / each}`), { recursive: true });
      writeFileSync(join(root, `files/${Math.floor(index / each)}/${index}`), '');
    }
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    collect();
    const before = process.memoryUsage().heapUsed;
    let [seen, most] = [0, 0];
    for await (const { key } of storage.list('files/')) {
      if (key === '') throw new Error('no key');
      seen += 1;
      if (seen % 2_000 !== 1) continue;
      collect();
      most = Math.max(most, process.memoryUsage().heapUsed - before);
    }
    expect(seen).toBe(folders * each);
    // The entries of all of them would take more.
    expect(most).toBeLessThan(2 ** 19);
    rmSync(root, { recursive: true });
  });
});

describeWithS3('a bucket as storage', () => {
  let s3: TestS3;
  let bucket: string;
  let storage: S3Storage;
  const urlOf = (name: string) => s3.settings(name).STORAGE_URL ?? '';
  beforeAll(async () => {
    s3 = await startS3();
    bucket = await s3.createBucket();
    storage = new S3Storage(urlOf(bucket), s3.key, log);
  });
  afterAll(() => s3?.stop());

  describe('that hangs', () => {
    let own: Promise<string> | undefined;
    behavesAsStorage(() => ({
      open: async () => {
        own ??= s3.createBucket();
        return new S3Storage(urlOf(await own), s3.key, log);
      },
      breakDown: async () => {
        s3.pause();
        return async () => s3.resume();
      },
    }));
  });

  it('is UNAVAILABLE at once if it refuses connections', async () => {
    await s3.kill();
    const start = performance.now();
    const terms = { contentType: 'text/plain', byteSize: 1, expiresAt: new Date(Date.now() + 60_000), userId: 4 };
    const outcomes = await Promise.allSettled([
      storage.sizeOf('files/f/received'),
      delay(2_500).then(() => storage.addressForWriting('incoming/f', terms)),
    ]);
    const waitedMs = performance.now() - start;
    await s3.restart();

    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'UNAVAILABLE' } });
    expect(waitedMs).toBeLessThan(soonMs);
    expect(await storage.sizeOf('files/f/received')).toBeNull();
  });

  const send = (url: string, body: string, headers: Record<string, string>) =>
    fetch(url, { method: 'PUT', body, headers });
  const addressFor = (key: string, bytes: string, { seconds = 600, type = 'text/plain' } = {}) =>
    storage.addressForWriting(key, {
      contentType: type,
      byteSize: bytes.length,
      expiresAt: new Date(Date.now() + seconds * 1_000),
      userId: 4,
    });

  it('takes what a client writes at the signed address, again and again until it is copied', async () => {
    const { method, url, headers } = await addressFor('incoming/g', 'right');
    expect(method).toBe('PUT');
    expect(headers).toEqual({ 'content-type': 'text/plain' });

    for (const body of ['wrong', 'right']) expect((await send(url, body, headers)).status).toBe(200);
    expect(await storage.copy('incoming/g', 'files/g/received')).toBe(true);
    expect((await send(url, 'wrong', headers)).status).toBe(200);

    expect(await readText(storage, 'files/g/received')).toBe('right');
  });

  it('refuses another key, type or length than was signed, and an old address', async () => {
    const { url, headers } = await addressFor('incoming/h', 'right');
    const changed = new URL(url);
    changed.pathname += 'h';
    const longer = new URL(url);
    longer.searchParams.set('X-Amz-Expires', '86400');

    expect((await send(changed.href, 'right', headers)).status).toBe(403);
    expect((await send(longer.href, 'right', headers)).status).toBe(403);
    expect(
      (
        await send(
          url.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
          'right',
          headers,
        )
      ).status,
    ).toBe(403);
    expect((await send(url, 'right', { 'content-type': 'text/html' })).status).toBe(403);
    expect((await send(url, 'right', {})).status).toBe(403);
    expect((await send(url, 'longer than announced', headers)).status).toBe(403);
    expect((await send(url, '', headers)).status).toBe(403);
    expect((await fetch(url)).status).toBe(403);
    const { url: old } = await addressFor('incoming/h', 'right', { seconds: 1 });
    await waitFor(async () => (await send(old, 'right', headers)).status === 403, { what: 'the end of the address' });
    const stored = await storage.sizeOf('incoming/h');
    // While the old address was good, it worked.
    expect(stored === null || stored === 'right'.length).toBe(true);
  });

  it('drops what the client says of its bytes, which readers would believe', async () => {
    const { url, headers } = await addressFor('incoming/i', 'no gzip');
    expect((await send(url, 'no gzip', { ...headers, 'content-encoding': 'gzip' })).status).toBe(200);
    await expect(storage.read('incoming/i')).rejects.toThrow('encoded as gzip');

    await storage.copy('incoming/i', 'files/i/received');

    expect(await readText(storage, 'files/i/received')).toBe('no gzip');
  });

  it('gives readers an address for a short time, with the name and the type', async () => {
    const name = `attachment; filename="__.txt"; filename*=UTF-8''%ED%9A%8C%EC%9D%98%20%281%29.txt`;
    await write(storage, 'files/j/original', '안녕');
    const terms = { contentType: 'text/plain; charset=utf-8', contentDisposition: name, seconds: 60 };
    const address = await storage.addressForReading('files/j/original', terms);

    const response = await fetch(address);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('안녕');
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.get('content-disposition')).toBe(name);
    const part = await fetch(address, { headers: { range: 'bytes=0-2' } });
    expect([part.status, await part.text()]).toEqual([206, '안']);
    expect((await fetch(address.replace('attachment', 'inline'))).status).toBe(403);
    expect((await fetch(address.replace('/files/j/', '/files/a/'))).status).toBe(403);
    expect((await fetch(address, { method: 'PUT', body: 'mine' })).status).toBe(403);
    // Swift takes it for a request of its own protocol.
    expect((await fetch(address.slice(0, address.indexOf('?')))).status).toBe(400);
    const old = await storage.addressForReading('files/j/original', { ...terms, seconds: 1 });
    await waitFor(async () => (await fetch(old)).status === 403, { what: 'the end of the address' });
  });

  it('streams in both directions: memory does not grow with the file', async () => {
    const byteSize = 192 * 2 ** 20;
    const path = fileOf('');
    truncateSync(path, byteSize);
    const { arrayBuffers } = process.memoryUsage();
    let most = 0;
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - arrayBuffers);
    }, 5);
    await storage.write('files/k/received', path, 'application/zip');
    let length = 0;
    for await (const part of (await storage.read('files/k/received')) as Readable) {
      length += (part as Buffer).length;
      // A reader that is slower than the storage.
      if (length % (8 * 2 ** 20) < 65_536) await delay(20);
    }
    clearInterval(timer);

    expect(length).toBe(byteSize);
    expect(most).toBeLessThan(byteSize / 3);
  });

  it('keeps its keys below the prefix, beside those of others', async () => {
    const outside = new S3Storage(urlOf(bucket).replace('/chat?', '?'), s3.key, log);
    await write(storage, 'files/l/received', 'inside');
    await write(outside, 'files/l/received', 'outside');

    await storage.removeAll('files/l/');

    expect(await readText(storage, 'files/l/received')).toBeNull();
    expect(await readText(outside, 'files/l/received')).toBe('outside');
    expect(await keysOf(outside)).toContain('chat/files/g/received');
  });

  describe('is opened', () => {
    let claimed: string | undefined;
    const claim = async (id: string) => {
      claimed ??= id;
      return claimed;
    };
    const openWith = (change: (url: URL) => void = () => undefined, key: S3Key = s3.key) => {
      const url = new URL(urlOf(bucket));
      change(url);
      return openStorage({ url: url.href, key }, { signer, claim, log });
    };
    const inRegion = (url: URL) => url.searchParams.set('region', 'kr-other');
    const inNoBucket = (url: URL) => {
      url.hostname = 'nobodys-bucket';
    };

    it('by all instances alike', async () => {
      await Promise.all([openWith(), openWith()]);
      await openWith();
      expect(await readText(storage, 'storage-id')).toBe(claimed);
    });

    it('with a message that names the setting if it refuses', async () => {
      await expect(openWith(undefined, { ...s3.key, secret: 'wrong-secret' })).rejects.toThrow(
        /^STORAGE_KEY_ID and STORAGE_SECRET_KEY: the storage does not take them \(it answers: 403 SignatureDoesNotMatch\)$/,
      );
      await expect(openWith(undefined, s3.powerless)).rejects.toThrow(/^STORAGE_KEY_ID: .* 403 AccessDenied/);
      await expect(openWith(inRegion)).rejects.toThrow(/^STORAGE_URL: \?region=/);
      await expect(openWith(inNoBucket)).rejects.toThrow(/^STORAGE_URL: the storage has no such bucket/);
    });

    it('only for the database that it belongs to', async () => {
      const other = await s3.createBucket();
      const toOther = (url: URL) => {
        url.hostname = other;
      };
      await expect(openWith(toOther)).rejects.toThrow(/^STORAGE_URL: .* is not the storage/);
    });

    it('later if it is away, and is checked then', async () => {
      await s3.kill();
      const [late, wrong] = await Promise.all([openWith(), openWith(inNoBucket)]);
      await expect(late.sizeOf('files/a/received')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      await s3.restart();

      await write(late, 'files/m/received', 'late');
      expect(await buffer((await late.read('files/m/received')) as Readable)).toEqual(Buffer.from('late'));
      await expect(wrong.sizeOf('files/a/received')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });
  });
});
