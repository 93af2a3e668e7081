import type { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import * as ws from 'ws';
import { createTextFrame } from '../../src/server/ws/text-frame.js';

/** A class of ws that its types do not declare. */
const { Receiver } = ws as unknown as {
  readonly Receiver: new (options: { isServer: boolean }) => Writable;
};

/** The text that a client's frame parser reads. */
function read(frame: Buffer): Promise<string> {
  const receiver = new Receiver({ isServer: false });
  return new Promise((resolve, reject) => {
    receiver.on('message', (data: Buffer, isBinary: boolean) =>
      isBinary ? reject(new Error('binary')) : resolve(String(data)),
    );
    receiver.on('error', reject);
    receiver.write(frame);
  });
}

it.each([0, 1, 124, 125, 126, 127, 65_535, 65_536, 200_000])(
  'is read back completely with %d bytes after its start',
  async (bytes) => {
    const start = '{"id":"회원 4","payload":';
    for (const length of [bytes, bytes - Buffer.byteLength(start)].filter((count) => count >= 0)) {
      const rest = '가'.repeat(Math.floor(length / 3)) + 'x'.repeat(length % 3);
      for (const form of [rest, Buffer.from(rest)]) expect(await read(createTextFrame(start, form))).toBe(start + rest);
    }
  },
);
