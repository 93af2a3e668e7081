import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pLimit from 'p-limit';
import { watchChildren } from './support/children.mjs';
import { Decoder } from './support/fairway.mjs';
import { makePhotos } from './support/pictures.mjs';
import { numbers, seedRooms, seedUsers, tokenOf } from './support/seed.mjs';
import { startFairway } from './support/server-process.mjs';
import { interleave } from './support/statistics.mjs';
import { startWorker } from './support/worker.mjs';

/** @typedef {import('./support/results.mjs').BenchContext} BenchContext */
/** @typedef {import('./support/results.mjs').Measurement} Measurement */

const peerName = "ImageMagick's convert";
const sides = { large: 1_600, medium: 960, small: 320 };
/** As many as an instance decodes at the same time. */
const atOnce = 2;

const senders = 20;
const sendEveryMs = 200;
const uploaders = 20;
const bytesPerSecond = 2 ** 20;
const without = 'Fairway';
const beside = 'Fairway, 20 uploads going on';

/**
 * Measures what files cost: the pictures that an instance makes ready, and what uploads do to messages.
 * @param {BenchContext} context
 * @returns {Promise<Measurement[]>}
 */
export const run = async (context) => [...(await measureThumbnails(context)), ...(await measureSends(context))];

/**
 * Makes of each photo what Fairway makes of it: upright, without metadata, and three WebP.
 * @param {BenchContext} context
 * @returns {Promise<Measurement[]>}
 */
async function measureThumbnails({ rounds, quick }) {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-bench-pictures-'));
  try {
    const size = quick ? { count: 2, width: 2_000, height: 1_500 } : { count: 8, width: 4_000, height: 3_000 };
    const photos = await makePhotos(folder, size);
    const convert = findConvert();
    const decode = async () => {
      // With its processes: each round starts them anew, as a quiet server does.
      const decoder = new Decoder();
      try {
        return await makeAll(photos, folder, (path, out) => decodeOne(decoder, path, out));
      } finally {
        decoder.close();
      }
    };
    const ways = {
      Fairway: decode,
      ...(convert === undefined
        ? {}
        : { [peerName]: () => makeAll(photos, folder, (path, out) => convertOne(convert, path, out)) }),
    };
    const { perSecond = {}, largestMb = {} } = await interleave(ways, rounds);
    const missing = convert === undefined ? { [peerName]: 'It is not on this machine' } : {};
    const bars = [{ against: peerName }];
    const title = `photos of ${size.width} × ${size.height} made ready, two at a time`;
    return [
      { title: `${title}, photos`, unit: 'photos/s', samples: perSecond, bars, missing },
      { title: `${title}, memory of the largest process`, unit: 'MB', samples: largestMb, bars, missing },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string[]} photos
 * @param {string} folder
 * @param {(path: string, out: string) => Promise<void>} make
 */
async function makeAll(photos, folder, make) {
  const limit = pLimit(atOnce);
  const { ms, largestMb } = await watchChildren(() =>
    Promise.all(
      photos.map((path, index) =>
        limit(() => {
          const out = join(folder, `made-${index}`);
          mkdirSync(out, { recursive: true });
          return make(path, out);
        }),
      ),
    ),
  );
  return { perSecond: photos.length / (ms / 1_000), largestMb };
}

/** @param {InstanceType<typeof Decoder>} decoder @param {string} path @param {string} out */
async function decodeOne(decoder, path, out) {
  const pixels = Object.entries(sides);
  const answer = await decoder.run({ kind: 'picture', path, contentType: 'image/jpeg', folder: out, pixels });
  if (!('picture' in answer)) throw new Error(`Fairway has refused ${path}: ${JSON.stringify(answer)}`);
}

/** Undefined without ImageMagick. */
function findConvert() {
  return ['convert', 'magick'].find((name) => {
    try {
      return execFileSync(name, ['-version'], { encoding: 'utf8', stdio: 'pipe' }).includes('ImageMagick');
    } catch {
      return false;
    }
  });
}

/**
 * One command for each photo, which reads it once and makes each version of the larger one before it, with one thread, as
 * Fairway's decoder does.
 * @param {string} convert
 * @param {string} path
 * @param {string} out
 */
async function convertOne(convert, path, out) {
  const thumbnails = Object.entries(sides).flatMap(([name, side]) => [
    ...['-resize', `${side}x${side}>`, '-quality', '80', '-write', join(out, `${name}.webp`)],
  ]);
  await promisify(execFile)(convert, [
    ...['-limit', 'thread', '1', path, '-auto-orient', '-strip', '-quality', '80'],
    ...['-write', join(out, 'original.jpg'), ...thumbnails, 'null:'],
  ]);
}

/**
 * Measures the answers to sends of 20 members, each with five a second, while others upload at 1 MB a second each, and without
 * them. The load of both runs in processes of their own, on the same machine.
 * @param {BenchContext} context
 * @returns {Promise<Measurement[]>}
 */
async function measureSends({ stack, rounds, quick }) {
  const ms = quick ? 2_000 : 8_000;
  const folder = mkdtempSync(join(tmpdir(), 'fairway-bench-files-'));
  const database = await stack.createDatabase();
  const userIds = numbers(1_000, senders + uploaders);
  await seedUsers(database, userIds);
  const [roomId = ''] = await seedRooms(database, { memberIds: userIds });
  const server = await startFairway(stack, database.url, {
    env: { STORAGE_URL: `file:${folder}`, FILES_PER_MINUTE: '1000000', FILE_BYTES_PER_DAY: '2147483647' },
  });
  const [sending, uploading] = [startWorker('operations'), startWorker('uploads')];
  const tokens = await Promise.all(userIds.map(tokenOf));
  await sending.call('openSockets', { port: server.port, dialect: 'graphql' }, tokens.slice(0, senders));
  const send = async () => {
    const { p50, p99 } = await sending.call('send', ms, [roomId], sendEveryMs);
    return { p50, p99 };
  };
  const ways = {
    [without]: send,
    [beside]: async () => {
      const plan = { port: server.port, roomId, byteSize: 4 * 2 ** 20, bytesPerSecond };
      await uploading.call('start', plan, tokens.slice(senders));
      // Until all of them are under way.
      await delay((1_000 * plan.byteSize) / bytesPerSecond);
      const startedAt = performance.now();
      const before = await uploading.call('sent');
      const figures = await send();
      const bytes = (await uploading.call('sent')) - before;
      const megabytes = bytes / 2 ** 20 / ((performance.now() - startedAt) / 1_000);
      await uploading.call('stop');
      return { ...figures, megabytes };
    },
  };
  const { p50 = {}, p99 = {}, megabytes = {} } = await interleave(ways, rounds);
  await Promise.all([sending.stop(), uploading.stop()]);
  await server.stop();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
  const title = '100 sends a second in one room';
  return [
    {
      title: `${title}, p99 of the answers`,
      unit: 'ms',
      samples: p99,
      bars: [{ of: beside, against: without, atMost: 1.5 }],
    },
    { title: `${title}, median of the answers`, unit: 'ms', samples: p50, bars: [{ of: beside, against: without }] },
    { title: 'uploads beside these sends', unit: 'MB/s', samples: { [beside]: megabytes[beside] ?? [] }, bars: [] },
  ];
}
