import { describe, expect, it } from 'vitest';
import { readSoundMs } from '../../src/files/sound.js';
import { useRandom } from '../support/random.js';
import { flac, mp3, ogg, wav } from '../support/sounds.js';

describe('the length of a sound', () => {
  let read = 0;
  const msOf = (contentType: string, bytes: Buffer) => {
    read = 0;
    return readSoundMs(contentType, bytes.length, async ({ start, end }) => {
      const part = bytes.subarray(start, Math.max(end + 1, start));
      read += part.length;
      return part;
    });
  };

  it.each([
    ['an MP3 of one rate', 'audio/mpeg', mp3({ frames: 100 }), 2_606],
    ['an MP3 with a picture in front', 'audio/mpeg', mp3({ frames: 100, tag: Buffer.alloc(300_000, 0xff) }), 2_606],
    [
      'an MP3 with a tag behind',
      'audio/mpeg',
      Buffer.concat([mp3({ frames: 100 }), Buffer.from('TAG'.padEnd(128))]),
      2_606,
    ],
    ['an MP3 of several rates', 'audio/mpeg', mp3({ frames: 100, count: { name: 'Xing', frames: 5_000 } }), 130_612],
    [
      'an MP3 of several rates, as others write it',
      'audio/mpeg',
      mp3({ frames: 9, count: { name: 'VBRI', frames: 383 } }),
      10_005,
    ],
    ['a WAV', 'audio/wav', wav({ seconds: 3 }), 3_000],
    ['a WAV with a list in front', 'audio/wav', wav({ seconds: 2, list: Buffer.alloc(1_001) }), 2_000],
    ['a WAV that was being written', 'audio/wav', wav({ seconds: 2, said: 0xffffffff }), 2_000],
    ['an Opus', 'audio/ogg', ogg('opus', 48_000 * 7 + 312), 7_000],
    ['a Vorbis', 'audio/ogg', ogg('vorbis', 44_100 * 7), 7_000],
    ['a FLAC', 'audio/flac', flac(44_100 * 60 * 30), 1_800_000],
  ])('is what its headers say, with a few small reads: %s', async (_what, contentType, bytes, ms) => {
    expect(await msOf(contentType, bytes)).toBe(ms);
    expect(read).toBeLessThanOrEqual(140_000);
  });

  it('is not known where nothing says it', async () => {
    for (const contentType of ['audio/mpeg', 'audio/wav', 'audio/ogg', 'audio/flac', 'audio/aac', 'text/plain']) {
      expect(await msOf(contentType, Buffer.alloc(0)), contentType).toBeNull();
      expect(await msOf(contentType, Buffer.alloc(100_000)), contentType).toBeNull();
      expect(await msOf(contentType, Buffer.alloc(100_000, 255)), contentType).toBeNull();
    }
    expect(await msOf('audio/wav', wav({ seconds: 3, rate: 0 }))).toBeNull();
    expect(await msOf('audio/ogg', ogg('opus', -1))).toBeNull();
  });

  it('is a number or nothing, whatever the bytes are', async () => {
    const random = useRandom();
    const sounds = {
      'audio/mpeg': mp3({ frames: 5 }),
      'audio/wav': wav({ seconds: 1 }),
      'audio/ogg': ogg('opus', 9_999),
      'audio/flac': flac(9),
    };
    for (let round = 0; round < 500; round += 1) {
      for (const [contentType, sound] of Object.entries(sounds)) {
        const bytes = Buffer.from(sound.subarray(0, random.between(0, sound.length)));
        for (let change = 0; change < 3 && bytes.length > 0; change += 1) {
          bytes.writeUInt8(random.between(0, 255), random.between(0, Math.min(bytes.length, 80) - 1));
        }
        const ms = await msOf(contentType, bytes);
        expect(ms === null || (Number.isInteger(ms) && ms > 0 && ms < 2 ** 31)).toBe(true);
      }
    }
  });
});
