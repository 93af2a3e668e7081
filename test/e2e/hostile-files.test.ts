import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import { announce, type Bytes, makePhoto, makeText, read, upload, whenSettled } from '../support/files.js';
import {
  animation,
  apng,
  box,
  decodersOf,
  file,
  film,
  filmMediaAt,
  media,
  noise,
  officeDocument,
  peakOf,
  place,
  placeBoxes,
  placeTrack,
  png,
  songTitles,
  watchDecoders,
  zip,
} from '../support/hostile-files.js';
import type { Instance } from '../support/instance.js';
import { createUpload, fileLimits, sendFiles } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { flac, mp3, ogg, wav } from '../support/sounds.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const megabyte = 2 ** 20;
/** The limit, and what a process may take between two looks at it on a busy machine. */
const maxDecoderBytes = 400 * megabyte;
const maxServerGrowth = 200 * megabyte;

describeWithNats('a hostile file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-hostile-'));
  const world = useWorld({
    instances: 1,
    env: { STORAGE_URL: `file:${folder}`, MAX_FILE_BYTES: String(100 * megabyte), FILES_PER_MINUTE: '100000' },
  });
  let instance: Instance;
  let alice: TestClient;
  let roomId: string;
  let decoders: ReturnType<typeof watchDecoders>;
  let serverBytes: number;
  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    alice = await world.client(4);
    roomId = await alice.group(5);
    await settle(await makePhoto());
    decoders = watchDecoders(instance);
    serverBytes = peakOf(instance.pid);
  });
  afterAll(() => {
    decoders.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
  });

  /** The file once the server has done everything with it. */
  const settle = async (bytes: Bytes) => whenSettled(alice, (await upload(instance, alice, roomId, bytes)).id);

  const bytesOf = async (url: string | null) => {
    const response = await read(instance, alice, url);
    expect(response.status).toBe(200);
    return { bytes: Buffer.from(await response.arrayBuffer()), headers: response.headers };
  };

  const isAlive = async () => expect((await fetch(`${instance.url}/readyz`)).status).toBe(200);

  it('that says in its header or name what it is not is judged by its bytes', async () => {
    const photo = await makePhoto();
    const pdf = Buffer.from('%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF');
    expect(await settle({ ...photo, name: 'song.mp3', type: 'audio/mpeg' })).toMatchObject({
      status: 'READY',
      kind: 'IMAGE',
      contentType: 'image/jpeg',
    });
    expect(await settle(file('a.jpg', 'image/jpeg', pdf))).toMatchObject({
      status: 'READY',
      kind: 'FILE',
      contentType: 'application/pdf',
    });
    const jpegThenPdf = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), pdf]);
    expect(await settle(file('a.pdf', 'application/pdf', jpegThenPdf))).toMatchObject({
      status: 'FAILED',
      failure: 'BROKEN',
      contentType: 'image/jpeg',
    });
    const program = Buffer.concat([Buffer.from('\u007fELF\u0002\u0001\u0001'), Buffer.alloc(200)]);
    expect(await settle(file('a.png', 'image/png', program))).toMatchObject({ failure: 'TYPE_NOT_ALLOWED' });
    expect(await settle(file('a.bin', 'text/plain', Buffer.from('text\u0000text')))).toMatchObject({
      failure: 'TYPE_NOT_ALLOWED',
    });
  });

  it('that is damaged FAILS as BROKEN, and leaves no bytes', async () => {
    const [photo, broad] = [await makePhoto(), await noise(300, 300).png().toBuffer()];
    const rows = Buffer.alloc(31 * 10);
    const broken: Record<string, Bytes> = {
      'a truncated JPEG': { ...photo, bytes: photo.bytes.subarray(0, photo.bytes.length / 2) },
      'a truncated PNG': file('a.png', 'image/png', broad.subarray(0, broad.length / 2)),
      'a header of more pixels than there are': file('a.png', 'image/png', png({ width: 4_000, height: 4_000, rows })),
      'a page that begins like a GIF': file('a.gif', 'image/gif', Buffer.from('GIF89a=0;//<script>alert(1)</script>')),
    };
    for (const [what, bytes] of Object.entries(broken)) {
      expect(await settle(bytes), what).toMatchObject({ status: 'FAILED', failure: 'BROKEN', url: null });
    }
    await isAlive();
  });

  it('with more than 25 megapixels FAILS as TOO_MANY_PIXELS, and its pixels are never decoded', async () => {
    const bomb = png({ width: 30_000, height: 30_000, color: 0, rows: Buffer.alloc(100 * megabyte) });
    expect(bomb.length).toBeLessThan(megabyte);
    const photo = await noise(8_000, 6_100).jpeg({ quality: 60 }).toBuffer();
    for (const [name, bytes] of [
      ['image/png', bomb],
      ['image/jpeg', photo],
      ['image/png', png({ width: 2 ** 31 - 1, height: 2 ** 31 - 1, rows: Buffer.alloc(10) })],
    ] as const) {
      const { status, failure } = await settle(file('large', name, bytes));
      expect([status, ['TOO_MANY_PIXELS', 'BROKEN'].includes(failure ?? '')]).toEqual(['FAILED', true]);
      if (bytes.length > 1_000) expect(failure).toBe('TOO_MANY_PIXELS');
    }
    await isAlive();
  });

  it('that is a GIF is as large as readers make it, whatever the decoder makes of it', async () => {
    const pixels = [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0];
    const gif = (screen: readonly [number, number], ...frames: readonly (readonly [number, number])[]) => {
      const head = Buffer.from([...Buffer.from('GIF89a'), 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
      head.writeUInt16LE(screen[0], 6);
      head.writeUInt16LE(screen[1], 8);
      const images = frames.map(([width, height]) => {
        const image = Buffer.from(pixels);
        image.writeUInt16LE(width, 5);
        image.writeUInt16LE(height, 7);
        return image;
      });
      return file('a.gif', 'image/gif', Buffer.concat([head, ...images, Buffer.from(';')]));
    };
    expect(await settle(gif([1, 1], [1, 1]))).toMatchObject({ status: 'READY', width: 1, height: 1 });
    const large = { status: 'FAILED', failure: 'TOO_MANY_PIXELS' };
    expect(await settle(gif([65_535, 65_535], [1, 1]))).toMatchObject(large);
    expect(await settle(gif([1, 1], [1, 1], [20_000, 20_000]))).toMatchObject(large);
    expect(await settle(gif([3_000, 3_000], [10, 10]))).toMatchObject({ status: 'FAILED', failure: 'BROKEN' });
  });

  it('with a colour profile of 200 MB loses the profile, and keeps one that is real', async () => {
    const profiled = (profile: Buffer) => {
      const body = Buffer.concat([Buffer.from('p\0\0'), deflateSync(profile)]);
      return png({ width: 10, height: 10, rows: Buffer.alloc(310), chunks: [['iCCP', body]] });
    };
    const bomb = await settle(file('bomb.png', 'image/png', profiled(Buffer.alloc(200 * megabyte))));
    expect((await bytesOf(bomb.url)).bytes.includes('iCCP')).toBe(false);
    const real = await settle(file('p3.png', 'image/png', await noise(20, 20).withIccProfile('p3').png().toBuffer()));
    expect((await bytesOf(real.url)).bytes.includes('iCCP')).toBe(true);
  });

  it('of somebody who has many is not in front of those of others', async () => {
    const bob = await world.client(6);
    const room = await bob.group(7);
    const slow = png({ width: 5_000, height: 4_990, color: 6, rows: Buffer.alloc((1 + 4 * 5_000) * 4_990) });
    const many: string[] = [];
    for (let count = 0; count < 24; count += 1) {
      many.push((await upload(instance, alice, roomId, file(`${count}.png`, 'image/png', slow))).id);
    }
    const photo = await upload(instance, bob, room, await makePhoto());
    expect(await whenSettled(bob, photo.id)).toMatchObject({ status: 'READY' });
    const left = await world.database.query(
      `SELECT id FROM chat_attachments WHERE id = ANY($1::uuid[]) AND status = 'PROCESSING'`,
      [many],
    );
    expect(left.length).toBeGreaterThan(12);
    for (const id of many) expect(await whenSettled(alice, id)).toMatchObject({ status: 'READY' });
  });

  it('is a picture like any other with 24 megapixels of a phone, or 100 MB of zeros', async () => {
    const photo = await noise(6_000, 4_000).withMetadata({ orientation: 6 }).jpeg({ quality: 70 }).toBuffer();
    expect(await settle(file('p.jpg', 'image/jpeg', photo))).toMatchObject({
      status: 'READY',
      width: 4_000,
      height: 6_000,
    });
    const rows = Buffer.alloc((1 + 4 * 5_000) * 4_990);
    expect(
      await settle(file('z.png', 'image/png', png({ width: 5_000, height: 4_990, color: 6, rows }))),
    ).toMatchObject({ status: 'READY', width: 5_000 });
  });

  it('that takes too much time FAILS as well, and pictures behind it do not', async () => {
    const noisy = await noise(5_000, 4_990).withMetadata({ orientation: 6 }).png({ compressionLevel: 0 }).toBuffer();
    const [slow, ...others] = await Promise.all([
      settle(file('slow.png', 'image/png', noisy)),
      settle(await makePhoto()),
      settle(await makePhoto()),
    ]);
    expect(slow).toMatchObject({ status: 'FAILED', failure: 'TOO_MANY_PIXELS' });
    expect(others.map(({ status }) => status)).toEqual(['READY', 'READY']);
  });

  it('that crashes its decoder FAILS alone', async () => {
    const photo = await noise(6_000, 4_000).jpeg().toBuffer();
    // An idle process would not be the one that has the picture.
    await waitFor(() => decodersOf(instance).length === 0, { what: 'the end of idle decoders' });
    const announced = upload(instance, alice, roomId, file('crash.jpg', 'image/jpeg', photo));
    const { id } = await announced;
    const killed = await waitFor(
      () => decodersOf(instance).find((pid) => peakOf(pid) > 75 * megabyte && process.kill(pid, 'SIGSEGV')),
      { what: 'a decoder at work', pollMs: 5 },
    );
    expect(killed).toBeGreaterThan(0);
    expect(await whenSettled(alice, id)).toMatchObject({ status: 'FAILED', failure: 'BROKEN' });
    expect(await settle(await makePhoto())).toMatchObject({ status: 'READY' });
    await isAlive();
  });

  it('moves up to 100 frames in its thumbnails, and keeps them all', async () => {
    const frames = async (url: string | null) => (await sharp((await bytesOf(url)).bytes).metadata()).pages ?? 1;
    for (const [format, count, expected] of [
      ['gif', 100, 100],
      ['gif', 101, 1],
      ['webp', 30, 30],
    ] as const) {
      const made = await settle(file(`a.${format}`, `image/${format}`, await animation(format, count)));
      expect(made).toMatchObject({ status: 'READY', width: 40, height: 40, contentType: `image/${format}` });
      expect([await frames(made.url), await frames(made.thumbnailUrl)]).toEqual([count, expected]);
    }
    const moving = await settle(file('a.png', 'image/apng', apng(32)));
    expect(moving).toMatchObject({ status: 'READY', contentType: 'image/png', width: 32 });
    expect((await bytesOf(moving.url)).bytes.includes('fdAT')).toBe(true);
  });

  it('in an unusual form is READY: CMYK, 16 bits, grey with alpha, progressive', async () => {
    const base = noise(200, 100);
    const forms: Record<string, Buffer> = {
      'cmyk.jpg': await base.clone().toColourspace('cmyk').jpeg().toBuffer(),
      'progressive.jpg': await base.clone().jpeg({ progressive: true }).toBuffer(),
      'sixteen.png': await base.clone().toColourspace('rgb16').png().toBuffer(),
      'grey.png': await base.clone().ensureAlpha(0.5).toColourspace('b-w').png().toBuffer(),
      'interlaced.png': await base.clone().png({ progressive: true }).toBuffer(),
      'lossless.webp': await base.clone().webp({ lossless: true }).toBuffer(),
    };
    for (const [name, bytes] of Object.entries(forms)) {
      const made = await settle(file(name, 'image/png', bytes));
      expect(made, name).toMatchObject({ status: 'READY', kind: 'IMAGE', width: 200, height: 100 });
      expect(await sharp((await bytesOf(made.url)).bytes).metadata(), name).toMatchObject({ width: 200 });
    }
  });

  it('loses the place where it was taken in every format, and stays upright', async () => {
    const exif = {
      IFD0: { Make: 'Phone' },
      IFD3: { GPSLatitude: '37/1 33/1 0/1', GPSLatitudeRef: 'N' },
    };
    for (const format of ['jpeg', 'png', 'webp'] as const) {
      for (const orientation of [1, 6]) {
        const base = noise(64, 32).withExif(exif).withMetadata({ orientation });
        const bytes = await base[format]().toBuffer();
        expect((await sharp(bytes).metadata()).exif, format).toBeDefined();
        const made = await settle(file('place', `image/${format}`, Buffer.concat([bytes, Buffer.from('<script>')])));
        const what = `${format} ${orientation}`;
        expect(made, what).toMatchObject({ status: 'READY', width: orientation === 6 ? 32 : 64 });
        const kept = (await bytesOf(made.url)).bytes;
        const metadata = await sharp(kept).metadata();
        expect([metadata.exif, metadata.orientation, metadata.width], what).toEqual([
          undefined,
          undefined,
          orientation === 6 ? 32 : 64,
        ]);
        expect(kept.includes('Phone') || kept.includes('<script>'), what).toBe(false);
        expect(made.byteSize).toBe(kept.length);
      }
    }
    const here = Buffer.from('Comment\u0000here');
    const commented = png({ width: 10, height: 10, rows: Buffer.alloc(310), chunks: [['tEXt', here]] });
    expect((await bytesOf((await settle(file('c.png', 'image/png', commented))).url)).bytes.includes('here')).toBe(
      false,
    );
  });

  it('says its size before its pixels are decoded, as its header has it, and then as it is', async () => {
    const turned = await noise(64, 32).withMetadata({ orientation: 6 }).png().toBuffer();
    const large = noise(900, 600);
    const pictures: Record<string, readonly [Buffer, number | null, number | null]> = {
      'turned.jpg': [Buffer.from((await makePhoto()).bytes), 480, 640],
      'large.jpg': [await noise(1_500, 1_000).jpeg({ quality: 95 }).toBuffer(), 1_500, 1_000],
      'large.png': [await large.png().toBuffer(), 900, 600],
      'turned.png': [turned, 32, 64],
      'large.webp': [await large.webp({ quality: 100 }).toBuffer(), 900, 600],
      'lossless.webp': [await noise(300, 200).webp({ lossless: true }).toBuffer(), 300, 200],
      'turned.webp': [
        await large.clone().withMetadata({ orientation: 6 }).webp({ quality: 100 }).toBuffer(),
        null,
        null,
      ],
      'moving.gif': [await animation('gif', 30), 40, 40],
      'large.gif': [await noise(300, 200).gif().toBuffer(), 300, 200],
      'moving.webp': [await animation('webp', 30), 40, 40],
    };
    for (const [name, [bytes, width, height]] of Object.entries(pictures)) {
      const early = await upload(instance, alice, roomId, file(name, 'image/png', bytes));
      expect(early, name).toMatchObject({ status: 'PROCESSING', width, height, thumbHash: null });
      const { autoOrient } = await sharp(bytes).metadata();
      expect(await whenSettled(alice, early.id), name).toMatchObject({ status: 'READY', ...autoOrient });
    }
    expect(pictures['large.webp']?.[0].length).toBeGreaterThan(262_144);
    const early = await upload(instance, alice, roomId, file('a.mov', 'video/quicktime', film('qt  ')));
    expect(early).toMatchObject({ status: 'PROCESSING', width: 360, height: 640 });
    for (const [side, said] of [
      [4_000, 4_000],
      [6_000, null],
      [2 ** 31 - 1, null],
    ]) {
      const lie = png({ width: side as number, height: side as number, rows: Buffer.alloc(310) });
      const { id, ...liar } = await upload(instance, alice, roomId, file('lie.png', 'image/png', lie));
      expect([liar.status, liar.width, liar.height]).toEqual(['PROCESSING', said, said]);
      expect((await whenSettled(alice, id)).status).toBe('FAILED');
    }
    // The orientation stands behind the pixels: what is right is known once it was read.
    const at = turned.indexOf('eXIf') - 4;
    const exif = turned.subarray(at, at + 12 + turned.readUInt32BE(at));
    const end = turned.length - 12;
    const late = Buffer.concat([
      turned.subarray(0, at),
      turned.subarray(at + exif.length, end),
      exif,
      turned.subarray(end),
    ]);
    const { id, ...first } = await upload(instance, alice, roomId, file('late.png', 'image/png', late));
    const settled = await whenSettled(alice, id);
    const { autoOrient } = await sharp((await bytesOf(settled.url)).bytes).metadata();
    expect([first.status, settled.status]).toEqual(['PROCESSING', 'READY']);
    expect({ width: settled.width, height: settled.height }).toEqual(autoOrient);
  });

  it('that is a GIF loses its comments and what programs add, and moves as often as before', async () => {
    const gif = await animation('gif', 3);
    const block = (label: number, ...parts: string[]) =>
      Buffer.concat([
        Buffer.from([0x21, label]),
        ...parts.map((part) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part, 'latin1')])),
        Buffer.alloc(1),
      ]);
    const start = gif.indexOf(Buffer.from('!\u00ff\u000bNETSCAPE2.0', 'latin1'));
    expect(start).toBeGreaterThan(0);
    const xmp = Buffer.concat([
      Buffer.from('!\u00ff\u000bXMP DataXMP', 'latin1'),
      Buffer.from(`<x:xmpmeta>${place}</x:xmpmeta>\u0001`),
      // XMP is not in parts: whatever it is, a reader of parts comes to an end here.
      Buffer.from(Array.from({ length: 256 }, (_, at) => 255 - at)),
      Buffer.alloc(1),
    ]);
    const full = Buffer.concat([
      gif.subarray(0, start),
      block(0xfe, place),
      xmp,
      block(0xff, 'CAMERA 1.00', place),
      gif.subarray(start, -1),
      block(0xf9, '\0\0\0\0'),
      block(0x01, '\0'.repeat(12), place),
      block(0xfe, place),
      Buffer.from(';'),
      Buffer.from(place),
    ]);
    const made = await settle(file('a.gif', 'image/gif', full));
    expect(made).toMatchObject({ status: 'READY', contentType: 'image/gif', byteSize: gif.length });
    const kept = (await bytesOf(made.url)).bytes;
    expect(kept.equals(gif)).toBe(true);
    expect(await sharp(kept).metadata()).toMatchObject({ pages: 3, loop: 0 });
  });

  it('that is a film or a song loses the place where it was taken, and none of its bytes move', async () => {
    const bob = await world.client(5);
    const sounds = [placeBoxes.user, placeBoxes.uuid, songTitles(box('©xyz', Buffer.from(place)))];
    for (const [name, bytes] of [
      ['a.mov', film('qt  ', { inside: Object.values(placeBoxes), behind: [placeBoxes.uuid, placeBoxes.meta] })],
      ['a.mp4', film('isom', { inside: [placeTrack(filmMediaAt, [100, 200])], behind: [Buffer.from(place)] })],
      ['a.m4a', film('M4A ', { inside: sounds })],
    ] as const) {
      const early = await upload(instance, alice, roomId, file(name, 'video/mp4', bytes));
      expect(early, name).toMatchObject({ status: 'PROCESSING' });
      const input = { id: randomUUID(), roomId, attachmentIds: [early.id] };
      await alice.http(sendFiles, { input });
      const first = await read(instance, bob, early.url);
      if (first.status === 200) expect(Buffer.from(await first.arrayBuffer()).includes(place)).toBe(false);
      else expect(first.status).toBe(404);
      const made = await whenSettled(alice, early.id);
      expect(made, name).toMatchObject({ status: 'READY', byteSize: bytes.length, durationMs: 12_345 });
      const response = await read(instance, bob, made.url);
      const kept = Buffer.from(await response.arrayBuffer());
      expect([response.status, kept.length, kept.includes(place)], name).toEqual([200, bytes.length, false]);
      const from = name === 'a.mp4' ? filmMediaAt + 300 : filmMediaAt;
      const end = filmMediaAt + media.length;
      expect(kept.subarray(from, end).equals(bytes.subarray(from, end)), name).toBe(true);
      expect(kept.includes('아리랑')).toBe(name === 'a.m4a');
    }
  });

  it('that is a page or a drawing with scripts is text, and is never executed', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>';
    const texts: Record<string, Bytes> = {
      svg: file('a.svg', 'image/svg+xml', Buffer.from(svg)),
      'svg with a declaration': file('a.png', 'image/png', Buffer.from(`<?xml version="1.0"?>${svg}`)),
      html: file('a.html', 'text/html', Buffer.from('<!doctype html><script>alert(1)</script>')),
    };
    for (const [what, bytes] of Object.entries(texts)) {
      const made = await settle(bytes);
      expect(made, what).toMatchObject({ kind: 'FILE', contentType: 'text/plain', thumbnailUrl: null });
      const { headers } = await bytesOf(made.url);
      expect(headers.get('content-type')).toBe('text/plain');
      expect(headers.get('content-disposition')).toMatch(/^attachment;/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toMatch(/default-src 'none'.*sandbox/);
    }
    const gif = await animation('gif', 2);
    const comment = Buffer.from('!\u00fe\u0010<script>alert(1)\u0000', 'latin1');
    const polyglot = Buffer.concat([gif.subarray(0, -1), comment, Buffer.from(';</script>')]);
    const made = await settle(file('a.html', 'text/html', polyglot));
    expect(made).toMatchObject({ status: 'READY', contentType: 'image/gif' });
    const { headers } = await bytesOf(made.url);
    expect([headers.get('content-type'), headers.get('x-content-type-options')]).toEqual(['image/gif', 'nosniff']);
    expect(headers.get('content-security-policy')).toMatch(/sandbox/);
  });

  it('is one of the usual documents, texts, sounds and films', async () => {
    const office = 'application/vnd.openxmlformats-officedocument';
    const korean = Buffer.from([0xc7, 0xd1, 0xb1, 0xdb, 0x0a, ...Buffer.from('a,b\r\n')]);
    const cfb = Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(1_000)]);
    const durations: Record<string, number> = {
      'a.mp3': 2_606,
      'a.wav': 3_000,
      'a.opus': 7_000,
      'a.flac': 9_000,
      'a.m4a': 12_345,
    };
    const usual: readonly (readonly [string, Buffer, string, string])[] = [
      ['utf-16.txt', Buffer.from('\ufeff안녕하세요', 'utf16le'), 'FILE', 'text/plain'],
      ['utf-16be.txt', Buffer.from('\ufeff안녕하세요', 'utf16le').swap16(), 'FILE', 'text/plain'],
      ['euc-kr.csv', korean, 'FILE', 'text/plain'],
      ['a.docx', officeDocument('word', 'wordprocessingml.document'), 'FILE', `${office}.wordprocessingml.document`],
      ['a.xlsx', officeDocument('xl', 'spreadsheetml.sheet'), 'FILE', `${office}.spreadsheetml.sheet`],
      ['a.pptx', officeDocument('ppt', 'presentationml.presentation'), 'FILE', `${office}.presentationml.presentation`],
      ['a.hwp', cfb, 'FILE', 'application/x-cfb'],
      ['a.hwpx', zip({ mimetype: 'application/hwp+zip', 'version.xml': '<x/>' }), 'FILE', 'application/zip'],
      ['a.zip', zip({ '../../etc/passwd': 'x' }), 'FILE', 'application/zip'],
      ['a.mp3', mp3({ frames: 100 }), 'AUDIO', 'audio/mpeg'],
      ['a.wav', wav({ seconds: 3 }), 'AUDIO', 'audio/wav'],
      ['a.opus', ogg('opus', 48_000 * 7 + 312), 'AUDIO', 'audio/ogg'],
      ['a.flac', flac(44_100 * 9), 'AUDIO', 'audio/flac'],
      ['a.m4a', film('M4A '), 'AUDIO', 'audio/mp4'],
      ['a.mp4', film('isom'), 'VIDEO', 'video/mp4'],
      ['a.mov', film('qt  '), 'VIDEO', 'video/quicktime'],
    ];
    for (const [name, bytes, kind, contentType] of usual) {
      const made = await settle(file(name, 'application/octet-stream', bytes));
      expect(made, name).toMatchObject({ name, status: 'READY', kind, contentType });
      const facts = kind === 'VIDEO' ? [360, 640, 12_345] : [null, null, durations[name] ?? null];
      expect([made.width, made.height, made.durationMs], name).toEqual(facts);
    }
  });

  it('with boxes that lie is a film of unknown length, or none', async () => {
    const whole = film('isom', { ms: 0xffffffff, width: 0, height: 0 });
    const start = whole.subarray(0, whole.indexOf('moov') - 4);
    const lies: Record<string, Buffer> = {
      'no length': whole,
      'cut off': whole.subarray(0, start.length + 60),
      'an endless box': Buffer.concat([start, Buffer.from('\u0000\u0000\u0000\u0001moov'), Buffer.alloc(8, 255)]),
      'boxes of nothing': Buffer.concat([start, Buffer.alloc(100_000)]),
      'thousands of boxes': Buffer.concat([start, Buffer.from('\u0000\u0000\u0000\u0008free'.repeat(50_000))]),
    };
    for (const [what, bytes] of Object.entries(lies)) {
      const made = await settle(file('a.mp4', 'video/mp4', bytes));
      const end = bytes === whole ? { status: 'READY' } : { status: 'FAILED', failure: 'BROKEN', url: null };
      expect(made, what).toMatchObject({ ...end, width: null, height: null, durationMs: null });
    }
  });

  it('has its name cleaned, or refused', async () => {
    const nameOf = async (name: string) => (await announce(alice, roomId, { ...makeText(), name })).attachment.name;
    expect(await nameOf('../../etc/passwd')).toBe('passwd');
    expect(await nameOf('C:\\Users\\a.txt')).toBe('a.txt');
    expect(await nameOf('photo\u202Egpj.exe')).toBe('photogpj.exe');
    expect(await nameOf('a\u0000b.txt')).toBe('ab.txt');
    expect(await nameOf('한글.txt'.normalize('NFD'))).toBe('한글.txt');
    expect(await nameOf('"quoted"\r\nX-Evil: 1')).toBe('"quoted" X-Evil: 1');
    for (const name of ['가'.repeat(300), '', '..', 'folder/', '\u202e', '\ud800']) {
      await expect(nameOf(name), JSON.stringify(name)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    }
  });

  it('of no bytes, or of too many, is refused before it is sent', async () => {
    const { limits: found } = await alice.http(fileLimits, {});
    expect(found).toMatchObject({ maxAttachments: 10, maxPicturePixels: 25_000_000, maxUploadsAtOnce: 8 });
    expect(found).toMatchObject({ maxFileBytes: 100 * megabyte, fileTypes: expect.arrayContaining(['image/webp']) });
    expect(found.fileTypes).not.toContain('image/svg+xml');
    await expect(announce(alice, roomId, makeText(''), randomUUID())).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    const input = { roomId, name: 'a', contentType: 'text/plain', byteSize: 100 * megabyte + 1 };
    await expect(alice.http(createUpload, { input })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('has cost no more memory than promised, in the server and in the decoder', () => {
    expect(decoders.peak()).toBeLessThan(maxDecoderBytes);
    expect(peakOf(instance.pid) - serverBytes).toBeLessThan(maxServerGrowth);
  });
});
