import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

const channels = 3;

/**
 * Writes photos as phones make them: JPEG with soft colours, a little noise, and an orientation that lays half of them on their
 * side. Always the same ones.
 * @param {string} folder
 * @param {{ count: number, width: number, height: number }} options
 * @returns {Promise<string[]>} their paths
 */
export async function makePhotos(folder, { count, width, height }) {
  const paths = [];
  for (let index = 0; index < count; index += 1) {
    const path = join(folder, `photo-${index}.jpg`);
    const bytes = await sharp(pixelsOf(width, height, index + 1), { raw: { width, height, channels } })
      .withMetadata({ orientation: index % 2 === 0 ? 1 : 6 })
      .jpeg({ quality: 88 })
      .toBuffer();
    writeFileSync(path, bytes);
    paths.push(path);
  }
  return paths;
}

/** @param {number} width @param {number} height @param {number} seed */
function pixelsOf(width, height, seed) {
  const pixels = Buffer.allocUnsafe(width * height * channels);
  let state = seed;
  let place = 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      const noise = state >>> 28;
      pixels[place] = 96 + 80 * Math.sin((x * seed) / 300) + noise;
      pixels[place + 1] = 96 + 80 * Math.cos((y * seed) / 250) + noise;
      pixels[place + 2] = 96 + 80 * Math.sin((x + y) / 400) + noise;
      place += channels;
    }
  }
  return pixels;
}
