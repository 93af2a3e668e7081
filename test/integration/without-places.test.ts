import { mkdtempSync, rmSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { UnreadableBoxes, withoutPlaces } from '../../src/files/without-places.js';
import {
  box,
  film,
  filmMediaAt,
  ints,
  media,
  place,
  placeBoxes,
  placeTrack,
  songTitles,
} from '../support/hostile-files.js';
import { useRandom } from '../support/random.js';

describe('what a film says about places', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-places-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function clean(bytes: Buffer, kind: 'film' | 'sound' = 'film') {
    const path = join(folder, 'film');
    await writeFile(path, bytes);
    const file = await open(path, 'r+');
    try {
      const isChanged = await withoutPlaces(file, bytes.length, kind);
      return { isChanged, bytes: await readFile(path) };
    } finally {
      await file.close();
    }
  }

  const isKept = async (bytes: Buffer) => {
    const cleaned = await clean(bytes);
    return !cleaned.isChanged && cleaned.bytes.equals(bytes);
  };

  it.each(Object.entries(placeBoxes))('is emptied, and nothing moves: %s', async (_what, found) => {
    for (const [where, bytes] of Object.entries({
      'in the film': film('qt  ', { inside: [found] }),
      'behind it': film('isom', { behind: [found] }),
      'in a track': film('isom', { inside: [box('trak', box('tkhd', Buffer.alloc(84)), found)] }),
      'in a fragment': film('isom', { behind: [box('moof', box('mfhd', ints(0, 1)), box('traf', found)), found] }),
    })) {
      expect(bytes.includes(place), where).toBe(true);
      const cleaned = await clean(bytes);
      expect([cleaned.isChanged, cleaned.bytes.length], where).toEqual([true, bytes.length]);
      expect(cleaned.bytes.includes(place) || cleaned.bytes.includes('quicktime.location'), where).toBe(false);
      const at = bytes.indexOf(found);
      expect(cleaned.bytes.toString('latin1', at + 4, at + 8), where).toBe('free');
      expect(cleaned.bytes.readUInt32BE(at), where).toBe(found.length);
      expect(cleaned.bytes.subarray(0, at).equals(bytes.subarray(0, at)), where).toBe(true);
      expect(await isKept(cleaned.bytes), 'once more').toBe(true);
    }
  });

  it('is found in boxes with a long length, in those up to the end, and behind the last one', async () => {
    const long = Buffer.concat([ints(1), Buffer.from('udta'), ints(0, 16 + place.length), Buffer.from(place)]);
    const open = Buffer.concat([ints(0), Buffer.from('uuid'), Buffer.from(place)]);
    const none = Buffer.from(`\u0000\u0000\u0000\u0003${place} of a camera that adds what is no box`);
    const cut = Buffer.concat([ints(1_000_000), Buffer.from('cam '), Buffer.from(place)]);
    for (const bytes of [
      film('isom', { inside: [long], behind: [open] }),
      film('isom', { behind: [none] }),
      film('isom', { behind: [cut] }),
      film('isom', { behind: [Buffer.from(place.slice(0, 7))] }),
    ]) {
      const cleaned = (await clean(bytes)).bytes;
      expect(cleaned.length).toBe(bytes.length);
      expect(cleaned.includes(place.slice(0, 7))).toBe(false);
      expect(await isKept(cleaned)).toBe(true);
    }
  });

  it('is emptied in a track over time, with its samples, and no other byte of the media', async () => {
    const bytes = film('isom', { inside: [placeTrack(filmMediaAt + 1_000, [10, 20, 30])] });
    const cleaned = (await clean(bytes)).bytes;
    const [from, to] = [filmMediaAt + 1_000, filmMediaAt + 1_060];
    expect(bytes.subarray(filmMediaAt, filmMediaAt + media.length).equals(media)).toBe(true);
    expect(cleaned.subarray(from, to).equals(Buffer.alloc(60))).toBe(true);
    expect(cleaned.subarray(filmMediaAt, from).equals(bytes.subarray(filmMediaAt, from))).toBe(true);
    const rest = filmMediaAt + media.length;
    expect(cleaned.subarray(to, rest).equals(bytes.subarray(to, rest))).toBe(true);
    expect(cleaned.includes('stco')).toBe(false);
  });

  it('leaves a film without it as it is, byte for byte', async () => {
    const bytes = film('isom', {
      behind: [box('moof', box('mfhd', ints(0, 1)), box('traf', box('tfhd', ints(0, 1))))],
    });
    expect(await isKept(bytes)).toBe(true);
  });

  it('is emptied in a song, whose titles stay', async () => {
    const others = [box('©cmt', Buffer.from(place)), box('©xyz', Buffer.from(place))];
    const bytes = film('M4A ', { inside: [songTitles(...others)], behind: [placeBoxes.uuid] });
    const cleaned = (await clean(bytes, 'sound')).bytes;
    expect([cleaned.includes('아리랑'), cleaned.includes('©nam', 0, 'latin1'), cleaned.includes(place)]).toEqual([
      true,
      true,
      false,
    ]);
    for (const found of [placeBoxes.user, placeBoxes.loci, box('udta', placeBoxes.meta)]) {
      expect((await clean(film('M4A ', { inside: [found] }), 'sound')).bytes.includes(place)).toBe(false);
    }
    expect((await clean(bytes, 'film')).bytes.includes('아리랑')).toBe(false);
  });

  it('cannot be found where boxes contradict each other, are too many or none is the film: the film is refused', async () => {
    const whole = film('isom');
    const start = whole.subarray(0, whole.indexOf('moov') - 4);
    const lies: Record<string, Buffer> = {
      'no film': start,
      'cut off': whole.subarray(0, -60),
      'an endless box': Buffer.concat([start, ints(1), Buffer.from('moov'), Buffer.alloc(8, 255)]),
      'a box longer than its film': film('isom', { inside: [Buffer.concat([ints(1_000), Buffer.from('udta')])] }),
      'boxes of nothing': film('isom', { inside: [Buffer.concat([ints(3), Buffer.from('udta')])] }),
      'too many boxes': film('isom', { inside: [Buffer.concat(Array.from({ length: 100_001 }, () => box('free')))] }),
      'a track that is longer than its file': film('isom', { inside: [placeTrack(0, [200_000, 200_000])] }),
      'a track with tables cut off': film('isom', {
        inside: [
          box(
            'trak',
            box(
              'mdia',
              box('hdlr', ints(0, 0), Buffer.from('meta')),
              box('minf', box('stbl', box('stsz'), box('stsc'), box('stco'))),
            ),
          ),
        ],
      }),
    };
    for (const [what, bytes] of Object.entries(lies)) {
      await expect(clean(bytes), what).rejects.toThrow(UnreadableBoxes);
    }
  });

  it('costs little and breaks nothing else, whatever the bytes are', async () => {
    const random = useRandom();
    const whole = film('qt  ', {
      inside: [placeBoxes.meta, placeTrack(filmMediaAt, [10, 20])],
      behind: [placeBoxes.uuid],
    });
    const small = Buffer.concat([whole.subarray(0, filmMediaAt), whole.subarray(filmMediaAt + media.length)]);
    small.writeUInt32BE(8, filmMediaAt - 8);
    for (let round = 0; round < 300; round += 1) {
      const bytes = Buffer.from(small);
      for (let change = 0; change < 3; change += 1) {
        bytes.writeUInt8(random.pick([0, 1, 8, 255, random.between(0, 255)]), random.between(0, bytes.length - 1));
      }
      const cleaned = await clean(bytes).catch((error: unknown) => error);
      if (cleaned instanceof Error) expect(cleaned).toBeInstanceOf(UnreadableBoxes);
      else expect((cleaned as { bytes: Buffer }).bytes.length).toBe(bytes.length);
    }
  });
});
